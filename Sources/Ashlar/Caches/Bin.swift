/// The blocks of one class in a thread's cache: a stack of their tags' addresses.
///
/// How many there are, and how many were ever allocated from it, is one word, so that the hot path counts both by one
/// addition. Below the first block lies the *bottom*, the address of a byte of the bin's own that says live: what is popped
/// off an empty bin looks like a block that is live already, and needs no test of its own.
///
/// Its owner's alone; others read the count, and slots for a report.
package struct Bin<Memory: SharedMemory> {
  package let address: UnsafeMutableRawPointer

  @inline(__always)
  package init(_ address: UnsafeMutableRawPointer) { self.address = address }

  // The layout, in bytes. Of the null bin there are the first two words.
  private enum Offset {
    static var state: Int { 0 }
    static var limit: Int { 8 }
    static var capacity: Int { 16 }
    static var uncounted: Int { 24 }
    static var bottomTag: Int { 32 }
    static var bottom: Int { 40 }
  }

  @inline(__always)
  private func word(_ offset: Int) -> SharedWord { SharedWord(address + offset) }

  // MARK: State

  // The count in the low 16 bits, the allocations above them.
  private static var countMask: UInt { 0xFFFF }
  private static var allocationShift: UInt { 16 }
  /// One block fewer and one allocation more.
  private static var popped: UInt { (1 &<< allocationShift) &- 1 }
  private static var mostAllocations: UInt { UInt.max &>> allocationShift }

  @inline(__always)
  private var state: UInt {
    get { Memory.load(word(Offset.state)) }
    nonmutating set { Memory.store(newValue, to: word(Offset.state)) }
  }

  /// Blocks in the bin. An empty one holds one fewer for as long as it takes to notice: that is none, too.
  package var count: UInt {
    get {
      let count = state & Self.countMask
      return count <= capacity ? count : 0
    }
    nonmutating set { state = (state & ~Self.countMask) | newValue }
  }

  /// Blocks that it may hold. Set before the cache has its first owner, and never changed.
  package private(set) var capacity: UInt {
    get { PlainPointer<Memory, UInt>(address + Offset.capacity)[0] }
    nonmutating set { PlainPointer<Memory, UInt>(address + Offset.capacity)[0] = newValue }
  }

  package var isFull: Bool { count >= capacity }

  // How many blocks the hot path may put in: 0 while it is closed.
  @inline(__always)
  private var limit: SharedWord { word(Offset.limit) }

  /// Whether the hot path may use it.
  @inline(__always)
  package var isOpen: Bool { Memory.load(limit) != 0 }

  package func setOpen(_ open: Bool) { Memory.store(open ? capacity : 0, to: limit) }

  /// Sets up an empty bin in zeroed memory.
  package func lay(capacity: UInt) {
    self.capacity = capacity
    arm(turn: Self.usualTurn)
    Memory.store(bottomTag.value, to: word(Offset.bottom))
    Memory.store(Tag.liveBit, to: bottomTag.byte)
  }

  // MARK: Blocks

  @inline(__always)
  private func slot(_ index: UInt) -> SharedWord {
    SharedWord((address + BinLayout.slotsOffset).assumingMemoryBound(to: UInt.self) + Int(bitPattern: index))
  }

  @inline(__always)
  package subscript(index: UInt) -> TagAddress {
    get { TagAddress(Memory.load(slot(index))) }
    nonmutating set { Memory.store(newValue.value, to: slot(index)) }
  }

  /// Takes the block put in last, or the bottom where there is none; nil when it is the next block's turn.
  @inline(__always)
  package func pop() -> TagAddress? {
    let count = Memory.loadLow(word(Offset.state))
    guard !Memory.addReportingCarry(Self.popped, to: word(Offset.state)) else {
      Memory.addReportingCarry(0 &- Self.popped, to: word(Offset.state))
      return nil
    }
    return self[count &- 1]
  }

  /// The slot for the next block; nil when the bin is full or closed to the hot path.
  @inline(__always)
  package var room: UInt? {
    let count = Memory.loadLow(word(Offset.state))
    return Memory.isBelow(count, limit) ? count : nil
  }

  /// Puts a block in.
  /// - Parameter room: the slot for it, which is `count`.
  @inline(__always)
  package func push(_ tag: TagAddress, to room: UInt) {
    Memory.addReportingCarry(1, to: word(Offset.state))
    self[room] = tag
  }

  private var bottomTag: TagAddress { TagAddress(UInt(bitPattern: address) + UInt(Offset.bottomTag)) }

  /// Takes back what the hot path did to an empty bin, whose bottom it took for a block.
  package static func restore(bottom: TagAddress) {
    let bin = Bin(UnsafeMutableRawPointer(bitPattern: bottom.value).unsafelyUnwrapped - Offset.bottomTag)
    Memory.store(Tag.liveBit, to: bottom.byte)
    // The block that was missing borrowed from the allocations what was added to them.
    Memory.addReportingCarry(0 &- countMask, to: bin.word(Offset.state))
  }

  /// Takes the block put in last, whoever's turn it is; nil when the bin is empty.
  package func popUnsampled() -> TagAddress? {
    let count = count
    guard count > 0 else { return nil }
    // One short of the carry it stays, until the turn is taken.
    if isDue {
      uncounted &+= 1
      state &-= 1
    } else {
      state &+= Self.popped
    }
    return self[count &- 1]
  }

  /// The slots: `count` blocks, the one put in first at the front.
  package var slots: SharedWord { slot(0) }

  /// Fills an empty bin with `count` blocks.
  package func fill(_ count: Int, from slots: SharedWord) {
    Memory.copyWords(slots, to: self.slots, count)
    self.count = UInt(count)
  }

  /// Forgets the `leaving` blocks that have been in it longest.
  package func dropFirst(_ leaving: Int) {
    let left = Int(count) - leaving
    Memory.copyWords(slot(UInt(leaving)), to: slots, left)
    count = UInt(left)
  }

  /// Whether the bin holds a block; for reports, so the answer may be stale for another thread's bin.
  package func holds(_ tag: TagAddress) -> Bool {
    for index in 0..<count where self[index] == tag { return true }
    return false
  }

  // MARK: Turns

  /// The allocation that is due where none is to be sampled: often enough to look whether memory has been free for long,
  /// seldom enough to cost nothing.
  package static var usualTurn: UInt { 1024 }

  // What to add to the allocations of the state to have all.
  private var uncounted: UInt {
    get { Memory.load(word(Offset.uncounted)) }
    nonmutating set { Memory.store(newValue, to: word(Offset.uncounted)) }
  }

  private var counted: UInt { state &>> Self.allocationShift }

  /// Allocations ever made from it.
  package var allocations: UInt { counted &+ uncounted }

  /// Whether it is the turn of the next block. It is to be taken by arming again.
  package var isDue: Bool { counted == Self.mostAllocations }

  /// Makes the `turn`th allocation from now on the one that is due.
  // The count of allocations starts so that it wraps at that one: the carry is what tells the hot path.
  package func arm(turn: UInt) {
    let all = allocations
    let start = Self.mostAllocations &+ 1 &- turn
    state = (state & Self.countMask) | start &<< Self.allocationShift
    uncounted = all &- start
  }
}
