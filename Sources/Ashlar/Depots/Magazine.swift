/// A batch of free blocks of one class, on its way between threads.
///
/// A magazine lies in metadata memory, never in a user's, and is never unmapped. It is owned by one thread at a
/// time: whoever popped it, until it is pushed.
package struct Magazine<Memory: SharedMemory> {
  /// Header line, then the slots.
  package static var bytes: Int { 64 + SizeClass.largestBatch * 8 }

  package let address: UInt

  package init(_ address: UInt) { self.address = address }

  private var words: PlainPointer<Memory, UInt> {
    PlainPointer(UnsafeMutableRawPointer(bitPattern: address).unsafelyUnwrapped)
  }

  /// Blocks in it.
  package var count: Int {
    get { Int(bitPattern: words[1]) }
    nonmutating set { words[1] = UInt(bitPattern: newValue) }
  }

  /// Addresses of the blocks, the first `count` of them valid.
  package var slots: PlainPointer<Memory, UInt> { words + 8 }

  /// Fills an empty magazine with `count` blocks, whose addresses `block` answers by number.
  package func fill(_ count: Int, _ block: (Int) -> UInt) {
    for index in 0..<count { slots[index] = block(index) }
    self.count = count
  }

  package func holds(_ block: BlockBase) -> Bool {
    for index in 0..<min(count, SizeClass.largestBatch) where slots[index] == block.address { return true }
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

extension SizeClass {
  /// Slots of a magazine.
  package static let largestBatch = 64

  /// Blocks that travel between a thread's cache and a global stack at once: one magazine.
  ///
  /// About 128 KiB worth, at least one and at most 64.
  package var batch: Int { min(max((128 << 10) / size, 1), Self.largestBatch) }
}
