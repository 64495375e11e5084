/// A batch of free blocks of one class, on its way between threads.
///
/// A magazine lies in metadata memory, never in a user's, and is never unmapped. It is owned by one thread at a
/// time: whoever popped it, until it is pushed. Others only look into it for a report, and may see what is out of date.
package struct Magazine<Memory: SharedMemory> {
  /// Header line, then the slots.
  package static var bytes: Int { 64 + SizeClass.largestBatch * 8 }

  package let address: UInt

  package init(_ address: UInt) { self.address = address }

  private func word(_ index: Int) -> SharedWord {
    SharedWord(UnsafeMutableRawPointer(bitPattern: address).unsafelyUnwrapped + 8 * index)
  }

  /// Blocks in it.
  package var count: Int {
    get { Int(bitPattern: Memory.load(word(1))) }
    nonmutating set { Memory.store(UInt(bitPattern: newValue), to: word(1)) }
  }

  /// A block; the first `count` are valid.
  package subscript(index: Int) -> TagAddress {
    get { TagAddress(Memory.load(word(8 + index))) }
    nonmutating set { Memory.store(newValue.value, to: word(8 + index)) }
  }

  /// The first of them.
  package var slots: SharedWord { word(8) }

  /// Fills an empty magazine with `count` blocks.
  package func fill(_ count: Int, from slots: SharedWord) {
    Memory.copyWords(slots, to: self.slots, count)
    self.count = count
  }

  package func holds(_ block: TagAddress) -> Bool {
    for index in 0..<min(count, SizeClass.largestBatch) where self[index] == block { return true }
    return false
  }
}

/// Magazines link through their first word.
package struct MagazineLinks: StackLinks {
  @inline(__always)
  package init() {}

  @inline(__always)
  package func link(of node: UInt) -> SharedWord {
    SharedWord(UnsafeMutableRawPointer(bitPattern: node).unsafelyUnwrapped)
  }
}
