/// The global stacks: one of full magazines for each size class, and one of empty magazines for all.
///
/// Lock-free but for making new magazines. Any number of threads may call.
package struct Depots<Memory: SharedMemory> {
  package typealias Stack = TaggedStack<Memory, MagazineLinks>

  private let heads: UnsafeMutableRawPointer
  private let metadata: MetadataMemory<Memory>
  /// Bytes of blocks that one class keeps here before magazines go back to the slabs.
  private let limitBytes: Int

  package static var bytes: Int { (SizeClass.count + 1) * SharedPair.bytes }

  /// `heads` is `bytes` long, 64-byte aligned and zero.
  package init(heads: UnsafeMutableRawPointer, metadata: MetadataMemory<Memory>, limitBytes: Int) {
    self.heads = heads
    self.metadata = metadata
    self.limitBytes = limitBytes
  }

  private func stack(_ index: Int) -> Stack {
    Stack(head: SharedPair(heads + index * SharedPair.bytes), links: MagazineLinks())
  }

  private func full(_ sizeClass: SizeClass) -> Stack { stack(sizeClass.index) }
  private var empty: Stack { stack(SizeClass.count) }

  /// Blocks in a class's stack, counted beside its head.
  private func blocks(_ sizeClass: SizeClass) -> SharedWord {
    SharedWord(heads + sizeClass.index * SharedPair.bytes + 48)
  }

  package func blockCount(_ sizeClass: SizeClass) -> Int { Int(bitPattern: Memory.load(blocks(sizeClass))) }

  /// Puts a full magazine on its class's stack, and gives up its ownership. Answers the depth reached.
  @discardableResult
  package func put(_ magazine: Magazine<Memory>, _ sizeClass: SizeClass) -> Int {
    Memory.add(UInt(magazine.count), to: blocks(sizeClass), .relaxed)
    return full(sizeClass).push(magazine.address)
  }

  /// Takes the full magazine put last, which the caller then owns; nil when there is none.
  package func take(_ sizeClass: SizeClass) -> Magazine<Memory>? {
    guard let node = full(sizeClass).pop() else { return nil }
    let magazine = Magazine<Memory>(node)
    Memory.add(0 &- UInt(magazine.count), to: blocks(sizeClass), .relaxed)
    return magazine
  }

  /// Bytes of blocks that a class may keep here: at least two magazines.
  package func limit(_ sizeClass: SizeClass) -> Int { max(limitBytes, 2 * sizeClass.batch * sizeClass.size) }

  /// Whether one more magazine may come. Threads that ask at the same moment may put one each.
  package func hasRoom(_ sizeClass: SizeClass) -> Bool {
    (blockCount(sizeClass) + sizeClass.batch) * sizeClass.size <= limit(sizeClass)
  }

  /// An empty magazine that the caller owns; nil when the system has no memory for a new one.
  package func takeEmpty() -> Magazine<Memory>? {
    if let node = empty.pop() { return Magazine(node) }
    return metadata.take(Magazine<Memory>.bytes).map { Magazine(UInt(bitPattern: $0)) }
  }

  /// Puts a magazine away whose blocks have gone elsewhere.
  package func discard(_ magazine: Magazine<Memory>) {
    magazine.count = 0
    empty.push(magazine.address)
  }

  /// Sends every block of a class home. Answers one that was freed twice unseen, if there is one.
  @discardableResult
  package func drain(_ sizeClass: SizeClass, into slabs: SlabClasses<Memory>) -> TagAddress? {
    var twice: TagAddress?
    while let magazine = take(sizeClass) {
      twice = slabs.giveBack(sizeClass, magazine.count) { magazine[$0] } ?? twice
      discard(magazine)
    }
    return twice
  }

  /// Calls `body` with the head of every stack.
  package func forEachPair(_ body: (SharedPair) -> Void) {
    for index in 0...SizeClass.count { body(SharedPair(heads + index * SharedPair.bytes)) }
  }

  /// Whether a magazine on the stack holds a block; for reports, so the answer may be stale.
  package func holds(_ block: TagAddress, _ sizeClass: SizeClass) -> Bool {
    var found = false
    full(sizeClass).visit { node in
      found = Magazine<Memory>(node).holds(block)
      return !found
    }
    return found
  }
}
