/// What becomes of bytes that a pool or an arena keeps for reuse, so that whoever still uses them is found out.
///
/// AddressSanitizer and memcheck are told that nobody may touch them. Where every block of the heap is guarded they are filled, and
/// checked when they are handed out again. Otherwise nothing is done at all: `isWatched` says so.
///
/// The bytes are the caller's alone while any of these runs. O(bytes).
@usableFromInline
package struct FreedBytes {
  private let marks: MemoryMarks
  private let isFilled: Bool

  /// As the heap's guards are at this moment.
  package init(marks: MemoryMarks = MemoryMarks()) {
    self.marks = marks
    isFilled = PoolAllocator.guards.canaries == 1
  }

  package var isWatched: Bool { marks.matter || isFilled }

  /// Nobody is to touch the bytes, which have not been used yet.
  package func forbid(_ bytes: Range<UInt>) { marks.forbid(bytes) }

  /// The bytes are a user's from now on.
  package func permit(_ bytes: Range<UInt>) { marks.permit(bytes) }

  /// The bytes are their user's no more.
  package func retire(_ bytes: Range<UInt>) {
    if isFilled {
      // What lies between two allocations was nobody's all the time, and is filled with the rest.
      marks.permit(bytes)
      Canary.fillFreed(bytes)
    }
    marks.forbid(bytes)
  }

  /// Retired bytes are a user's again. Answers the first one that was changed meanwhile.
  package func reissue(_ bytes: Range<UInt>) -> UInt? {
    marks.permit(bytes)
    return isFilled ? Canary.firstChange(inFreed: bytes) : nil
  }
}
