import CAshlar

/// Tells AddressSanitizer and memcheck which bytes of ours a program may touch, where either is at work.
///
/// Marks change nothing in memory. Thread-safe; whoever marks bytes owns them.
package struct MemoryMarks {
  /// Who is told of marks.
  package struct Audience {
    package typealias Mark = @convention(c) (_ start: UnsafeRawPointer?, _ bytes: Int) -> Void
    package typealias Allocated = @convention(c) (
      _ block: UnsafeRawPointer?, _ bytes: Int, _ zone: Int, _ zeroed: Int32
    ) -> Void

    let forbidden: Mark
    let usable: Mark
    let allocated: Allocated
    /// With the bytes of the zones in place of the block's.
    let freed: Mark

    package init(forbidden: @escaping Mark, usable: @escaping Mark, allocated: @escaping Allocated, freed: @escaping Mark) {
      self.forbidden = forbidden
      self.usable = usable
      self.allocated = allocated
      self.freed = freed
    }
  }

  private let audience: Audience?

  /// - Parameter audience: nil for nobody.
  package init(to audience: Audience?) { self.audience = audience }

  /// Those that go to the tools that watch this process.
  package init() {
    let tools = Audience(
      forbidden: ashlar_mark_forbidden, usable: ashlar_mark_usable, allocated: ashlar_mark_allocated, freed: ashlar_mark_freed)
    audience = ashlar_marks_matter() != 0 ? tools : nil
  }

  /// Whether anybody is listening.
  package var matter: Bool { audience != nil }

  /// Nobody but the allocator may touch the bytes.
  package func forbid(_ bytes: Range<UInt>) { audience?.forbidden(UnsafeRawPointer(bitPattern: bytes.lowerBound), bytes.count) }

  /// The bytes hold values, and may be read and written.
  package func permit(_ bytes: Range<UInt>) { audience?.usable(UnsafeRawPointer(bitPattern: bytes.lowerBound), bytes.count) }

  /// The bytes are a block that its user has from now on, with `zone` forbidden bytes on either side.
  package func allocated(_ block: Range<UInt>, zone: Int, zeroed: Bool) {
    audience?.allocated(UnsafeRawPointer(bitPattern: block.lowerBound), block.count, zone, zeroed ? 1 : 0)
  }

  /// The block is its user's no more.
  package func freed(_ block: Range<UInt>, zone: Int) { audience?.freed(UnsafeRawPointer(bitPattern: block.lowerBound), zone) }
}
