/// The global stacks: one of full magazines for each size class, and one of empty magazines for all.
///
/// A class keeps up to a limit of its own, and above it what is left of a *surplus* that all share, so that a burst of one class
/// stays at hand; but no more than its *allowance*, which is small at first and doubles each time that it runs out of blocks after
/// some had to be turned away (*slow start*). What a class turns out not to need goes
/// home in time, and with it as much of the allowance: its *working set* is what it keeps (Bonwick and Adams, Magazines and Vmem, 2001).
///
/// Lock-free but for making new magazines. Any number of threads may call.
package struct Depots<Memory: SharedMemory> {
  package typealias Stack = TaggedStack<Memory, MagazineLinks>

  private let heads: UnsafeMutableRawPointer
  private let metadata: MetadataMemory<Memory>
  private let surplusLimitBytes: Int

  /// The head of each stack, and beside it its counts.
  package static var bytes: Int { (SizeClass.count + 1) * SharedPair.bytes }

  /// - Parameters:
  ///   - heads: `bytes` long, 64-byte aligned and zero.
  ///   - limitBytes: bytes of blocks that each class may keep.
  ///   - surplusLimitBytes: what all together may keep above that.
  package init(
    heads: UnsafeMutableRawPointer, metadata: MetadataMemory<Memory>, limitBytes: Int, surplusLimitBytes: Int
  ) {
    self.heads = heads
    self.metadata = metadata
    self.surplusLimitBytes = surplusLimitBytes
    for sizeClass in SizeClass.all {
      let limit = max(limitBytes, 2 * sizeClass.batch * sizeClass.size)
      Memory.store(UInt(bitPattern: limit), to: word(sizeClass.index, 2))
      allow(firstBytes(sizeClass), sizeClass)
    }
  }

  private func stack(_ index: Int) -> Stack {
    Stack(head: SharedPair(heads + index * SharedPair.bytes), links: MagazineLinks())
  }

  private func full(_ sizeClass: SizeClass) -> Stack { stack(sizeClass.index) }
  private var empty: Stack { stack(SizeClass.count) }

  // MARK: Counts

  // Beside a head, and beside the head of the empty magazines' stack what all classes share.
  private func word(_ index: Int, _ number: Int) -> SharedWord {
    SharedWord(heads + index * SharedPair.bytes + SharedPair.usedBytes + 8 * number)
  }
  /// Blocks in a class's stack.
  private func blocks(_ sizeClass: SizeClass) -> SharedWord { word(sizeClass.index, 0) }
  /// The fewest that there were since the last look.
  private func fewest(_ sizeClass: SizeClass) -> SharedWord { word(sizeClass.index, 1) }
  /// What the surplus holds, in bytes of blocks.
  private var surplus: SharedWord { word(SizeClass.count, 0) }

  package func blockCount(_ sizeClass: SizeClass) -> Int { Int(bitPattern: Memory.load(blocks(sizeClass))) }

  /// Bytes of blocks that lie here above the limits of their classes.
  package var surplusBytes: Int { Int(bitPattern: Memory.load(surplus)) }

  /// Bytes of blocks that a class may keep here without a share of the surplus: at least two magazines.
  // Set up once: each look at it would cost a division.
  package func limit(_ sizeClass: SizeClass) -> Int { Int(bitPattern: Memory.load(word(sizeClass.index, 2))) }

  // MARK: Allowance

  // Twice the allowed bytes, and one more when blocks were turned away since those were last changed. Of two threads that change it at once
  // one may be in vain: it is a guess at what comes.
  private func allowedWord(_ sizeClass: SizeClass) -> SharedWord { word(sizeClass.index, 3) }

  /// Bytes of blocks that a class may keep for now: some 32 KiB or a block at first, the limit and the surplus at most.
  package func allowedBytes(_ sizeClass: SizeClass) -> Int { Int(bitPattern: Memory.load(allowedWord(sizeClass)) / 2) }

  private func allow(_ bytes: Int, _ sizeClass: SizeClass) {
    let allowed = max(firstBytes(sizeClass), min(bytes, limit(sizeClass) + surplusLimitBytes))
    Memory.store(UInt(bitPattern: 2 * allowed), to: allowedWord(sizeClass))
  }

  // What leaves a bin that overflows for the first time, at least.
  private func firstBytes(_ sizeClass: SizeClass) -> Int {
    min(max(32 << 10, (sizeClass.firstAllowance + 1) / 2 * sizeClass.size), limit(sizeClass))
  }

  /// Whether so many blocks may come; where they may not, it is kept in mind that they were turned away.
  package func admit(_ coming: Int, _ sizeClass: SizeClass) -> Bool {
    if hasRoom(coming, sizeClass) { return true }
    let word = Memory.load(allowedWord(sizeClass))
    if word & 1 == 0 { Memory.store(word | 1, to: allowedWord(sizeClass)) }
    return false
  }

  private func noteEmpty(_ sizeClass: SizeClass) {
    if Memory.load(allowedWord(sizeClass)) & 1 != 0 { allow(2 * allowedBytes(sizeClass), sizeClass) }
  }

  // MARK: Room

  private func excess(_ blocks: Int, _ sizeClass: SizeClass) -> Int { max(blocks * sizeClass.size - limit(sizeClass), 0) }

  // Every change is one addition, and the surplus changes by what that addition made of it: the sum is exact in the end.
  private func count(_ change: Int, _ sizeClass: SizeClass) -> Int {
    let before = Int(bitPattern: Memory.add(UInt(bitPattern: change), to: blocks(sizeClass), .relaxed))
    let after = before + change
    let moved = excess(after, sizeClass) - excess(before, sizeClass)
    if moved != 0 { Memory.add(UInt(bitPattern: moved), to: surplus, .relaxed) }
    return after
  }

  /// Whether so many blocks may come. Threads that ask at the same moment may each put theirs.
  package func hasRoom(_ coming: Int, _ sizeClass: SizeClass) -> Bool {
    let count = blockCount(sizeClass)
    guard (count + coming) * sizeClass.size <= allowedBytes(sizeClass) else { return false }
    let grown = excess(count + coming, sizeClass) - excess(count, sizeClass)
    return grown == 0 || surplusBytes + grown <= surplusLimitBytes
  }

  // MARK: Magazines

  /// Puts a full magazine on its class's stack, and gives up its ownership. Answers the depth reached.
  @discardableResult
  package func put(_ magazine: Magazine<Memory>, _ sizeClass: SizeClass) -> Int {
    _ = count(magazine.count, sizeClass)
    return full(sizeClass).push(magazine.address)
  }

  /// Takes the full magazine put last, which the caller then owns; nil when there is none, and if blocks were turned away the class is
  /// allowed more from then on.
  package func take(_ sizeClass: SizeClass) -> Magazine<Memory>? {
    let magazine = pop(sizeClass)
    if magazine == nil { noteEmpty(sizeClass) }
    return magazine
  }

  private func pop(_ sizeClass: SizeClass) -> Magazine<Memory>? {
    guard let node = full(sizeClass).pop() else { return nil }
    let magazine = Magazine<Memory>(node)
    let left = UInt(bitPattern: count(-magazine.count, sizeClass))
    // Two at once may miss the fewer: it is a guess at what comes.
    if left < Memory.load(fewest(sizeClass)) { Memory.store(left, to: fewest(sizeClass)) }
    return magazine
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

  /// Sends the blocks of a class home, or so many of them, by whole magazines. Answers one that was freed twice unseen, if there is one.
  /// - Parameter since: the tick since which they have been of no use; now, unless the caller knows better.
  @discardableResult
  package func drain(_ sizeClass: SizeClass, _ limit: Int = .max, since: UInt? = nil, into slabs: SlabClasses<Memory>) -> TagAddress? {
    var twice: TagAddress?
    var left = limit
    while left > 0, let magazine = pop(sizeClass) {
      left -= magazine.count
      twice = slabs.giveBack(sizeClass, magazine.count, since: since) { magazine[$0] } ?? twice
      discard(magazine)
    }
    return twice
  }

  /// Sends home what a class has not needed since the last look, at that tick: as many blocks as always lay here. Answers one that was
  /// freed twice unseen, if there is one.
  package func drainIdle(_ sizeClass: SizeClass, since: UInt, into slabs: SlabClasses<Memory>) -> TagAddress? {
    let idle = Int(bitPattern: Memory.load(fewest(sizeClass)))
    let twice = drain(sizeClass, idle, since: since, into: slabs)
    if idle > 0 { allow(allowedBytes(sizeClass) - idle * sizeClass.size, sizeClass) }
    Memory.store(Memory.load(blocks(sizeClass)), to: fewest(sizeClass))
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
