/// The medium level: a buddy system (Knowlton 1965) of ten orders, units of 1 MiB times 2^order.
///
/// Any number of threads may allocate and release at once; neither waits for a lock.
///
/// A free list per order is a tagged stack. A block's word says whether its node is *linked* in its order's list
/// and whether the block is *free*. Whoever clears the free bit owns the block, however it was found: a thread that
/// pops the node, or the merge worker that finds it as a buddy and leaves the node linked. A linked node whose block
/// is freed again is simply free again, so no node is ever taken out of the middle of a list.
///
/// Releasing is O(1): the block goes into its order's *hot* slot, where the next request of that order finds it while
/// its pages are still in the cache; the one that it displaces goes into the merge queue. One thread at a time drains
/// the queue: with a single merger two buddies can't miss each other, and mergers can't chase each other. A full queue
/// is drained in place by whoever met it, so nothing is dropped.
///
/// Allocating is O(orders), plus the merging of what was queued. Before a listed block is split, a smaller hot one is.
package struct Buddy<Memory: SharedMemory> {
  /// A block of 2^order units, owned by whoever holds this value.
  package struct Block: Equatable {
    package let order: Int
    /// Position among the blocks of its order.
    package let index: Int
    /// Whether it may hold memory of an earlier use; otherwise it reads as zero.
    package let isDirty: Bool

    package init(order: Int, index: Int, isDirty: Bool) {
      self.order = order
      self.index = index
      self.isDirty = isDirty
    }

    package var firstUnit: Int { index &<< order }
    package var units: Range<Int> { firstUnit..<(firstUnit &+ (1 &<< order)) }

    init(_ packed: UInt) {
      order = Int(bitPattern: (packed &>> 1) & 15)
      index = Int(bitPattern: (packed & Packed.blockMask) &>> 6)
      isDirty = packed & 1 != 0
    }
    // Never zero, so that a slot of zero is an empty one.
    fileprivate var packed: UInt { UInt(bitPattern: index) &<< 6 | 32 | UInt(bitPattern: order) &<< 1 | (isDirty ? 1 : 0) }
  }

  // A free block in a word: in its lower half the block, as a region has less than 2^26 units, and in the other half the tick since which
  // all of it has been free.
  private enum Packed {
    static var blockMask: UInt { (1 &<< stampShift) &- 1 }
    static var stampShift: UInt { 32 }
    static func stamp(_ packed: UInt) -> UInt { packed &>> stampShift }
  }

  private struct Links: StackLinks {
    let tables: BuddyTables
    func link(of node: UInt) -> SharedWord { tables.link(Int(bitPattern: node) &- 1) }
  }

  enum State {
    static var linked: UInt { 1 }
    static var free: UInt { 2 }
    static var dirty: UInt { 4 }
    static var stampShift: UInt { 8 }
  }

  package let tables: BuddyTables
  private let queue: MergeQueue<Memory>
  private let retention: Retention<Memory>

  /// `tables` lie in zeroed memory.
  package init(tables: BuddyTables, retention: Retention<Memory>) {
    self.tables = tables
    self.retention = retention
    queue = MergeQueue(words: tables.queue, capacity: tables.queueCapacity)
  }

  private func list(_ order: Int) -> TaggedStack<Memory, Links> {
    TaggedStack(head: tables.head(order: order), links: Links(tables: tables))
  }

  private func word(_ order: Int, _ index: Int) -> SharedWord {
    tables.word(tables.number(order: order, index: index))
  }

  /// Whether there is such a block: the region may end inside the last ones of an order.
  func exists(_ order: Int, _ index: Int) -> Bool {
    order < BuddyTables.orders && (index &+ 1) &<< order <= tables.units
  }

  // MARK: Allocate

  /// A block of 2^order units that the caller owns; nil when no free memory of that size is left.
  package func allocate(order: Int) -> Block? {
    guard let block = takeHot(order).map({ Block($0) }) ?? takeQueuedOrListed(order) ?? takeLastResort(order) else { return nil }
    if block.isDirty { countDirty(block, -1) }
    return block
  }

  private func takeHot(_ order: Int) -> UInt? {
    let slot = tables.hot(order: order)
    guard Memory.load(slot) != 0 else { return nil }
    let packed = Memory.exchange(0, in: slot, .acquiring)
    return packed == 0 ? nil : packed
  }

  // False when it is not there any more.
  func takeHot(_ order: Int, ifStill found: UInt) -> Bool {
    // Acquires what its release has done.
    Memory.compareExchange(tables.hot(order: order), expected: found, desired: 0, .acquiring) == found
  }

  private func takeQueuedOrListed(_ order: Int) -> Block? {
    drainUnlessActive()
    while true {
      if let block = takeListed(order) { return block }
      guard extend(order) else { return nil }
    }
  }

  // What is left may be in hot slots, in the queue, in the hands of a merging worker, or in transit: gather all, and look
  // until nothing was in transit meanwhile.
  package func takeLastResort(_ order: Int) -> Block? {
    while true {
      // First, by a transit of nothing: for what others queue meanwhile a merge takes listed blocks.
      let before = beginTransit() &+ Transits.begun
      endTransit()
      gather()
      if let block = takeListed(order) { return block }
      let after = Memory.load(tables.transits)
      let isAlone = before & Transits.activeMask == 0 && after == before &+ Transits.begun
      if isAlone { return nil }
      // Of those whose transit has ended there is nothing to wait for.
      if after & Transits.activeMask != 0 { Memory.pause() }
    }
  }

  // How many threads may have free memory in their hands that is nowhere else, and how many ever had.
  private enum Transits {
    static var begun: UInt { 1 &<< 32 }
    static var activeMask: UInt { begun &- 1 }
  }

  // Around whatever takes free memory from one place and puts it, or a part of it, in another.
  func inTransit<Result>(_ body: () -> Result) -> Result {
    _ = beginTransit()
    defer { endTransit() }
    return body()
  }

  // Acquires what those have listed whose end it finds counted, and comes after all that they have looked at: of two
  // transits of which neither counts the other, one has ended when the other begins. Answers what was counted before.
  private func beginTransit() -> UInt { Memory.add(Transits.begun &+ 1, to: tables.transits, .acquiring) }

  private func endTransit() { Memory.add(0 &- 1, to: tables.transits, .releasing) }

  private func takeListed(_ order: Int) -> Block? {
    inTransit {
      while true {
        let candidates = Memory.load(tables.nonEmpty) &>> UInt(order)
        let found = candidates == 0 ? BuddyTables.orders : order &+ candidates.trailingZeroBitCount
        if let packed = takeHot(above: order, below: found) { return split(Block(packed), to: order, since: Packed.stamp(packed)) }
        guard candidates != 0 else { return nil }
        if let (block, since) = pop(found) { return split(block, to: order, since: since) }
      }
    }
  }

  // What was freed last, and is smaller than what would be split instead: its pages are there.
  private func takeHot(above order: Int, below found: Int) -> UInt? {
    var larger = order &+ 1
    while larger < found {
      if let packed = takeHot(larger) { return packed }
      larger &+= 1
    }
    return nil
  }

  // Beside the block since when it has been free.
  private func pop(_ order: Int) -> (Block, UInt)? {
    let list = list(order)
    while let node = list.pop() {
      let number = Int(bitPattern: node) &- 1
      // Releases the pop's look at the link to whoever lists the node again, and finds here that it is off its list.
      let state = Memory.exchange(0, in: tables.word(number), .acquiringAndReleasing)
      if state & State.free != 0 {
        let block = Block(order: order, index: number &- tables.number(order: order, index: 0), isDirty: state & State.dirty != 0)
        return (block, state &>> State.stampShift)
      }
    }
    // A block pushed between the failed pop and the clearing would be hidden: look again after it.
    // Who counts no other transit need not be told of this: see `beginTransit`.
    Memory.and(~(1 << UInt(order)), into: tables.nonEmpty, .acquiring)
    if !list.isEmpty { Memory.or(1 << UInt(order), into: tables.nonEmpty, .relaxed) }
    return nil
  }

  private func split(_ block: Block, to order: Int, since: UInt) -> Block {
    var index = block.index
    var current = block.order
    while current > order {
      current &-= 1
      index &*= 2
      makeFree(Block(order: current, index: index &+ 1, isDirty: block.isDirty), stamp: since)
    }
    return Block(order: order, index: index, isDirty: block.isDirty)
  }

  /// Adds untouched units to the lists: the largest block that fits; false when none of `order` is left.
  private func extend(_ order: Int) -> Bool { inTransit { moveFrontier(order) } }

  private func moveFrontier(_ order: Int) -> Bool {
    var start = Memory.load(tables.frontier)
    while true {
      var fitting = BuddyTables.orders &- 1
      // Aligned too: what was handed out before was as large or larger.
      while fitting >= order, Int(bitPattern: start) &+ (1 &<< fitting) > tables.units { fitting &-= 1 }
      guard fitting >= order else { return false }
      let found = Memory.compareExchange(tables.frontier, expected: start, desired: start &+ (1 &<< UInt(fitting)), .relaxed)
      if found == start {
        makeFree(Block(order: fitting, index: Int(bitPattern: start) &>> fitting, isDirty: false), stamp: 0)
        return true
      }
      start = found
    }
  }

  // MARK: Release

  /// Takes a block back. It becomes free at once, and is merged with its buddy in time.
  /// - Parameter since: the tick since which it has been of no use; now, unless the caller knows better.
  package func release(_ block: Block, since: UInt? = nil) {
    if block.isDirty { countDirty(block, 1) }
    let stamped = (since ?? retention.now) &<< Packed.stampShift | block.packed
    // In transit even where nothing is displaced: who has looked at the slot before, and finds others empty since, looks again.
    inTransit { makeHot(stamped, order: block.order) }
    if retention.isExceeded(dirtyUnits: dirtyUnits) { purge(all: false) }
  }

  private func makeHot(_ stamped: UInt, order: Int) {
    let displaced = Memory.exchange(stamped, in: tables.hot(order: order))
    if displaced != 0 { enqueue(displaced) }
  }

  private func enqueue(_ packed: UInt) {
    if queue.push(packed) {
      if queue.depth >= queue.capacity / 2 { drainUnlessActive() }
    } else {
      becomeWorker()
      merge(packed)
      drainAndResign()
    }
  }

  // MARK: Merge

  func tryBecomeWorker() -> Bool {
    Memory.compareExchange(tables.workerActive, expected: 0, desired: 1, .acquiring) == 0
  }

  /// Waits until no other thread merges; the caller then merges alone until it resigns.
  package func becomeWorker() {
    while !tryBecomeWorker() { Memory.pause() }
  }

  /// In the child of a fork, as the worker: makes the queue whole again.
  package func repairAfterFork() {
    queue.fillAbandonedCells()
    Memory.store(0, to: tables.transits)
  }

  package func resign() { Memory.storeReleasing(0, to: tables.workerActive) }

  // What is pushed meanwhile by those who find the flag up is usually seen by the look at the queue after it went down. What
  // is not, or what its pusher has not finished, is left to the next drain: nobody spins for it, and nothing is lost.
  private func drainUnlessActive() {
    while queue.depth > 0, tryBecomeWorker() {
      let merged = drain()
      resign()
      if !merged { return }
    }
  }

  private func drainAndResign() {
    drain()
    resign()
  }

  // At most one queueful, so that a worker is not kept merging for others for ever. Answers whether there was any.
  @discardableResult
  func drain() -> Bool {
    for merged in 0..<queue.capacity {
      guard let packed = queue.pop() else { return merged != 0 }
      // 0 stands where a fork cut a pusher off.
      if packed != 0 { merge(packed) }
    }
    return true
  }

  func merge(_ packed: UInt) { merge(Block(packed), since: Packed.stamp(packed)) }

  /// Joins a block with its buddy, again and again, and lists the result. Only the worker calls this.
  private func merge(_ block: Block, since: UInt) {
    var since = since
    var order = block.order
    var index = block.index
    var dirty = block.isDirty
    while exists(order &+ 1, index &>> 1) {
      guard let state = claim(order, index ^ 1) else { break }
      // Both halves become dirty if one is.
      if (state & State.dirty != 0) != dirty {
        Memory.add(UInt(1) &<< UInt(order), to: tables.dirtyUnits, .relaxed)
        dirty = true
      }
      since = max(since, state &>> State.stampShift)
      index &>>= 1
      order &+= 1
    }
    makeFree(Block(order: order, index: index, isDirty: dirty), stamp: since)
  }

  // Relaxed: whoever listed the block was the worker before, or had split it off the one that is being merged, and so has
  // released what there is to acquire already.
  /// Takes a block that is free and listed, and leaves its node linked; nil when it is not free.
  func claim(_ order: Int, _ index: Int) -> UInt? {
    let word = word(order, index)
    var state = Memory.load(word)
    while state & State.free != 0 {
      let found = Memory.compareExchange(word, expected: state, desired: State.linked, .relaxed)
      if found == state { return state }
      state = found
    }
    return nil
  }

  /// Lists a block that the caller owns.
  func makeFree(_ block: Block, stamp: UInt) {
    let number = tables.number(order: block.order, index: block.index)
    let word = tables.word(number)
    var desired = State.free | State.linked | stamp &<< State.stampShift
    if block.isDirty { desired |= State.dirty }
    // Acquires what the pop that took the node off its list has read of it.
    if Memory.exchange(desired, in: word, .acquiringAndReleasing) & State.linked == 0 {
      list(block.order).push(UInt(bitPattern: number &+ 1))
      Memory.or(1 &<< UInt(block.order), into: tables.nonEmpty, .releasing)
    }
  }

  // MARK: Give memory back

  /// Units of free blocks that may hold memory.
  package var dirtyUnits: Int { Int(bitPattern: Memory.load(tables.dirtyUnits)) }

  func countDirty(_ block: Block, _ sign: Int) {
    Memory.add(UInt(bitPattern: sign &<< block.order), to: tables.dirtyUnits, .relaxed)
  }

  /// Moves every hot block and every queued one into the lists, merged.
  private func gather() {
    becomeWorker()
    for order in 0..<BuddyTables.orders {
      if let packed = takeHot(order) { merge(packed) }
    }
    drainAndResign()
  }

  /// Gives the memory of free blocks back to the system: of all, or of those that were free for the delay, and
  /// of the longest free until what is kept fits under the cap.
  package func purge(all: Bool) {
    // To give all back, or what is over the cap, is not left to who merges at the moment; what is merely old can wait for the next look.
    if all || retention.isOverCap(dirtyUnits: dirtyUnits) {
      becomeWorker()
    } else if !tryBecomeWorker() {
      return
    }
    // What waits in the queue is in no list, and would never grow old.
    drain()
    let now = retention.now
    var age = all ? 0 : retention.delay
    purge(now: now, age: age, downToCap: false)
    while age > 0, retention.isOverCap(dirtyUnits: dirtyUnits) {
      age /= 2
      purge(now: now, age: age, downToCap: true)
    }
    resign()
  }

  // First what is listed: a block that came out of a hot slot would be merged with it, and be given back once more.
  private func purge(now: UInt, age: UInt, downToCap: Bool) {
    sweep(now: now, age: age, downToCap: downToCap)
    coolHot(now: now, age: age, downToCap: downToCap)
  }

  /// Gives the memory of blocks back that have been free for long, where a look at that is due. O(1) otherwise.
  package func purgeAged() { if retention.isExceeded(dirtyUnits: dirtyUnits) { purge(all: false) } }

  // What was freed after `now` was looked at is younger than none.
  private func isOld(_ since: UInt, now: UInt, age: UInt) -> Bool { age == 0 || Int(bitPattern: now &- since) >= Int(bitPattern: age) }

  // Lists the blocks, their memory given back, that were freed last of their order and that nobody has asked for since. Not in
  // transit: who gathers waits for the worker, and what comes into a slot after that is in its release's transit.
  private func coolHot(now: UInt, age: UInt, downToCap: Bool) {
    for order in 0..<BuddyTables.orders {
      if downToCap, !retention.isOverCap(dirtyUnits: dirtyUnits) { return }
      let found = Memory.load(tables.hot(order: order))
      guard found != 0, isOld(Packed.stamp(found), now: now, age: age) else { continue }
      if takeHot(order, ifStill: found) { merge(purged(Block(found)), since: Packed.stamp(found)) }
    }
  }

  // A dirty block, unless it was taken since. What is claimed is as it was looked at: only the worker lists what came back.
  private func clean(_ order: Int, _ index: Int, since: UInt) {
    guard claim(order, index) != nil else { return }
    makeFree(purged(Block(order: order, index: index, isDirty: true)), stamp: since)
  }

  // The block without its memory; as it is where the system refuses.
  private func purged(_ block: Block) -> Block {
    guard block.isDirty, retention.purge(units: block.units) else { return block }
    countDirty(block, -1)
    return Block(order: block.order, index: block.index, isDirty: false)
  }

  private func sweep(now: UInt, age: UInt, downToCap: Bool) {
    let frontier = Int(bitPattern: Memory.load(tables.frontier))
    for order in 0..<BuddyTables.orders {
      for index in 0..<(frontier &>> order) {
        if downToCap, !retention.isOverCap(dirtyUnits: dirtyUnits) { return }
        let state = Memory.load(word(order, index))
        let since = state &>> State.stampShift
        // Only what is free says that it is dirty.
        guard state & State.dirty != 0, isOld(since, now: now, age: age) else { continue }
        inTransit { clean(order, index, since: since) }
      }
    }
  }

  // MARK: Look

  /// Calls `body` with every free block, its order and index: hot, queued ones excepted.
  package func visitListed(_ body: (Int, Int) -> Void) {
    let frontier = Int(bitPattern: Memory.load(tables.frontier))
    for order in 0..<BuddyTables.orders {
      for index in 0..<(frontier &>> order) where Memory.load(word(order, index)) & State.free != 0 { body(order, index) }
    }
  }

  /// Whether the free blocks are disjoint, listed, and their nodes reachable. Exact only while nobody else calls.
  package func checkInvariants() -> Bool {
    var sound = true
    gather()
    var linked = 0
    for order in 0..<BuddyTables.orders {
      list(order).visit { node in
        linked += 1
        if Memory.load(tables.word(Int(bitPattern: node) &- 1)) & State.linked == 0 { sound = false }
        return true
      }
    }
    visitListed { order, index in
      if Memory.load(word(order, index)) & State.linked == 0 { sound = false } else { linked -= 1 }
      var above = order &+ 1
      while exists(above, index &>> (above &- order)) {
        if Memory.load(word(above, index &>> (above &- order))) & State.free != 0 { sound = false }
        above &+= 1
      }
      if exists(order &+ 1, index &>> 1), Memory.load(word(order, index ^ 1)) & State.free != 0 { sound = false }
    }
    return sound && linked >= 0
  }
}
