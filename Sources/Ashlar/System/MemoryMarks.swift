import CAshlar

/// Tells AddressSanitizer and memcheck which bytes of ours a program may touch, where either is at work.
///
/// Marks change nothing in memory. Thread-safe; whoever marks bytes owns them.
package struct MemoryMarks {
  /// Whether anybody is listening.
  package let matter: Bool

  package init() { matter = ashlar_marks_matter() != 0 }

  /// Nobody but the allocator may touch the bytes.
  package func forbid(_ bytes: Range<UInt>) {
    if matter { ashlar_mark_forbidden(UnsafeRawPointer(bitPattern: bytes.lowerBound), bytes.count) }
  }

  /// The bytes hold values, and may be read and written.
  package func permit(_ bytes: Range<UInt>) {
    if matter { ashlar_mark_usable(UnsafeRawPointer(bitPattern: bytes.lowerBound), bytes.count) }
  }

  /// The bytes are a block that its user has from now on, with `zone` forbidden bytes on either side.
  package func allocated(_ block: Range<UInt>, zone: Int, zeroed: Bool) {
    if matter { ashlar_mark_allocated(UnsafeRawPointer(bitPattern: block.lowerBound), block.count, zone, zeroed ? 1 : 0) }
  }

  /// The block is its user's no more.
  package func freed(_ block: Range<UInt>, zone: Int) {
    if matter { ashlar_mark_freed(UnsafeRawPointer(bitPattern: block.lowerBound), zone) }
  }
}
