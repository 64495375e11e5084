/// The blocks of one class in a thread's cache: a stack of their tags' addresses.
///
/// The *top* is the address of the slot for the next block. What the hot path reads it writes as a whole: processors forward a
/// store to the loads behind it before they know either's address, but only to a load of all of it. Below the first block lies
/// the *bottom*, the address of a byte of the bin's own that says live: what is popped off an empty bin looks like a block that
/// is live already, and needs no test of its own.
///
/// Most threads use few classes: the slots of a bin that never had a block are *untouched*, and so is their memory. The top is then
/// behind the slots of all bins, at a copy of the bottom (the *spare bottom*), where a bin is empty and has no room at once.
///
/// Its *allowance*, the blocks that it may hold, is small at first where these are larger ones, and doubles each time that it runs empty
/// after it overflowed (*slow start*): what a thread frees and does not ask for again is there for others. (The free lists of TCMalloc's
/// threads grow with each refill, so also for who never frees.)
///
/// Its owner's alone; others read the count, and slots for a report, and open and close it to the hot path.
package struct Bin<Memory: SharedMemory> {
  package let address: UnsafeMutableRawPointer

  @inline(__always)
  package init(_ address: UnsafeMutableRawPointer) { self.address = address }

  // The layout, in bytes. Of the null bin there are the first two words.
  private enum Offset {
    static var top: Int { 0 }
    static var limit: Int { 8 }
    static var counted: Int { 16 }
    static var uncounted: Int { 24 }
    static var slots: Int { 32 }
    static var capacity: Int { 40 }
    static var bottomTag: Int { 48 }
    // The bottom is a byte.
    static var overflowed: Int { 49 }
    static var seen: Int { 56 }
  }

  @inline(__always)
  private func word(_ offset: Int) -> SharedWord { SharedWord(address + offset) }

  // MARK: State

  private static var slotBytes: UInt { 8 }

  @inline(__always)
  private var top: SharedWord { word(Offset.top) }

  /// The slots: `count` blocks, the one put in first at the front.
  package private(set) var slots: SharedWord {
    get { SharedWord(PlainPointer<Memory, UnsafeMutableRawPointer>(address + Offset.slots)[0]) }
    nonmutating set { PlainPointer<Memory, UnsafeMutableRawPointer>(address + Offset.slots)[0] = newValue.address }
  }

  private func addressOfSlot(_ index: UInt) -> UInt { UInt(bitPattern: slots.address) &+ index &* Self.slotBytes }

  /// Blocks in the bin. An empty one holds one fewer for as long as it takes to notice, and an untouched one seems to hold more than it
  /// has slots for: both hold none.
  package var count: UInt {
    get {
      let count = (Memory.load(top) &- addressOfSlot(0)) / Self.slotBytes
      return count <= capacity ? count : 0
    }
    nonmutating set {
      // The slots may be untouched.
      Memory.store(bottomTag.value, to: SharedWord(slots.address - Int(Self.slotBytes)))
      Memory.store(addressOfSlot(newValue), to: top)
    }
  }

  /// Blocks that it has slots for. Set before the cache has its first owner, and never changed.
  package private(set) var capacity: UInt {
    get { PlainPointer<Memory, UInt>(address + Offset.capacity)[0] }
    nonmutating set { PlainPointer<Memory, UInt>(address + Offset.capacity)[0] = newValue }
  }

  // Where the slots end that the hot path may put blocks in. While it is closed, how many those are: less than any address. In one word, as
  // any thread may close it while its owner changes their number.
  @inline(__always)
  private var limit: SharedWord { word(Offset.limit) }

  @inline(__always)
  private static func isOpen(at limit: UInt) -> Bool { limit > UInt(2 * SizeClass.largestBatch) }

  private func allowance(at limit: UInt) -> UInt { Self.isOpen(at: limit) ? (limit &- addressOfSlot(0)) / Self.slotBytes : limit }

  private func change(allowance: UInt? = nil, open: Bool? = nil) {
    var seen = Memory.load(limit)
    while true {
      let slots = allowance ?? self.allowance(at: seen)
      let changed = open ?? Self.isOpen(at: seen) ? addressOfSlot(slots) : slots
      let found = Memory.compareExchange(limit, expected: seen, desired: changed, .relaxed)
      if found == seen { return }
      seen = found
    }
  }

  /// Whether the hot path may use it.
  @inline(__always)
  package var isOpen: Bool { Self.isOpen(at: Memory.load(limit)) }

  package func setOpen(_ open: Bool) { change(open: open) }

  // MARK: Allowance

  /// Blocks that it may hold for now: of larger ones few at first, and at most its capacity. A magazine that fills it may bring more. Its
  /// owner's to change.
  package var allowance: UInt { allowance(at: Memory.load(limit)) }

  package var isFull: Bool { count >= allowance }

  private var overflowed: SharedByte { SharedByte((address + Offset.overflowed).assumingMemoryBound(to: UInt8.self)) }

  /// Says that blocks have to leave it because it is full. Answers how many are to stay: half of what it may hold, and none where it has not
  /// run empty since it overflowed last, as for a thread that only frees. It then holds more, too, up to a stretch, so that such a thread
  /// sends them away by many.
  package func noteOverflow(_ sizeClass: SizeClass) -> UInt {
    let (isFirst, allowance) = (Memory.load(overflowed) == 0, allowance)
    Memory.store(1, to: overflowed)
    if isFirst { return allowance / 2 }
    let most = min(UInt(sizeClass.stretch), capacity)
    if allowance < most { change(allowance: min(2 &* allowance, most)) }
    return 0
  }

  /// Says that it ran empty: if some had to leave it, twice as many blocks may stay from now on.
  package func noteEmpty() {
    guard Memory.load(overflowed) != 0 else { return }
    Memory.store(0, to: overflowed)
    change(allowance: min(2 &* allowance, capacity))
  }

  /// Allows as many blocks as at first.
  package func resetAllowance(_ sizeClass: SizeClass) {
    let first = min(UInt(sizeClass.firstAllowance), capacity)
    if allowance != first { change(allowance: first) }
    Memory.store(0, to: overflowed)
  }

  /// Sets up an empty bin in zeroed memory, and leaves its slots untouched.
  /// - Parameters:
  ///   - slots: behind one for the bottom.
  ///   - spareBottom: behind all slots of all bins.
  package func lay(_ sizeClass: SizeClass, slots: SharedWord, capacity: UInt, spareBottom: SharedWord) {
    self.slots = slots
    self.capacity = capacity
    resetAllowance(sizeClass)
    arm(turn: Self.longestTurn)
    Memory.store(bottomTag.value, to: spareBottom)
    Memory.store(UInt(bitPattern: spareBottom.address) &+ Self.slotBytes, to: top)
    Memory.store(Tag.liveBit, to: bottomTag.byte)
  }

  // MARK: Blocks

  package func slot(_ index: UInt) -> SharedWord { SharedWord(slots.address + Int(bitPattern: index &* Self.slotBytes)) }

  package subscript(index: UInt) -> TagAddress {
    get { TagAddress(Memory.load(slot(index))) }
    nonmutating set { Memory.store(newValue.value, to: slot(index)) }
  }

  /// Takes the block put in last, or the bottom where there is none; nil when it is the next block's turn.
  @inline(__always)
  package func pop() -> TagAddress? {
    guard !Memory.addReportingCarry(1, to: counted) else {
      counts = Self.mostCounts
      return nil
    }
    let free = Memory.load(top)
    Memory.addReportingCarry(0 &- Self.slotBytes, to: top)
    return TagAddress(Memory.load(Self.slot(at: free &- Self.slotBytes)))
  }

  /// The slot for the next block; nil when the bin is full or closed to the hot path.
  @inline(__always)
  package var room: SharedWord? {
    let free = Memory.load(top)
    return Memory.isBelow(free, limit) ? Self.slot(at: free) : nil
  }

  /// Puts a block in a bin that is not full, which may be closed or untouched.
  package func append(_ tag: TagAddress) {
    let count = count
    self[count] = tag
    self.count = count &+ 1
  }

  /// Puts a block in.
  /// - Parameter room: the slot for it.
  @inline(__always)
  package func push(_ tag: TagAddress, to room: SharedWord) {
    Memory.addReportingCarry(Self.slotBytes, to: top)
    Memory.store(tag.value, to: room)
  }

  @inline(__always)
  private static func slot(at address: UInt) -> SharedWord {
    SharedWord(UnsafeMutableRawPointer(bitPattern: address).unsafelyUnwrapped)
  }

  private var bottomTag: TagAddress { TagAddress(UInt(bitPattern: address) + UInt(Offset.bottomTag)) }

  /// Takes back what the hot path did to an empty bin, whose bottom it took for a block.
  package static func restore(bottom: TagAddress) {
    let bin = Bin(UnsafeMutableRawPointer(bitPattern: bottom.value).unsafelyUnwrapped - Offset.bottomTag)
    Memory.store(Tag.liveBit, to: bottom.byte)
    bin.count = 0
    // Nothing was allocated.
    bin.counts &-= 1
  }

  /// Takes the block put in last, whoever's turn it is; nil when the bin is empty.
  package func popUnsampled() -> TagAddress? {
    let count = count
    guard count > 0 else { return nil }
    // One short of the carry it stays, until the turn is taken.
    if isDue { uncounted &+= 1 } else { counts &+= 1 }
    self.count = count &- 1
    return self[count &- 1]
  }

  /// Fills an empty bin with `count` blocks.
  package func fill(_ count: Int, from slots: SharedWord) {
    Memory.copyWords(slots, to: self.slots, count)
    self.count = UInt(count)
  }

  /// Has the blocks of some slots for its only ones: those in front of them and behind them are forgotten.
  package func keep(_ kept: Range<UInt>) {
    if kept.lowerBound > 0 { Memory.copyWords(slot(kept.lowerBound), to: slots, kept.count) }
    count = UInt(kept.count)
  }

  /// Forgets the `leaving` blocks that have been in it longest.
  package func dropFirst(_ leaving: Int) { keep(UInt(leaving)..<count) }

  /// Whether the bin holds a block; for reports, so the answer may be stale for another thread's bin.
  package func holds(_ tag: TagAddress) -> Bool {
    for index in 0..<count where self[index] == tag { return true }
    return false
  }

  // MARK: Turns

  /// The allocation that is due at the latest where none is to be sampled: often enough to look whether memory has been free for
  /// long, seldom enough to cost nothing.
  package static var longestTurn: UInt { 1024 }

  // Counts up by one with each allocation. It is set so that it wraps at the one that is due: the carry is what tells the hot path.
  @inline(__always)
  private var counted: SharedWord { word(Offset.counted) }

  private static var mostCounts: UInt { UInt.max }

  @inline(__always)
  private var counts: UInt {
    get { Memory.load(counted) }
    nonmutating set { Memory.store(newValue, to: counted) }
  }

  // What to add to have all allocations.
  private var uncounted: UInt {
    get { Memory.load(word(Offset.uncounted)) }
    nonmutating set { Memory.store(newValue, to: word(Offset.uncounted)) }
  }

  /// Allocations ever made from it.
  package var allocations: UInt { counts &+ uncounted }

  /// Whether nothing was allocated from it since this was asked last.
  package func wasIdle() -> Bool {
    let (before, all) = (Memory.load(word(Offset.seen)), allocations)
    Memory.store(all, to: word(Offset.seen))
    return before == all
  }

  /// Whether it is the turn of the next block. It is to be taken by arming again.
  package var isDue: Bool { counts == Self.mostCounts }

  /// Makes the `turn`th allocation from now on the one that is due.
  package func arm(turn: UInt) {
    let all = allocations
    counts = 0 &- turn
    uncounted = all &- counts
  }
}
