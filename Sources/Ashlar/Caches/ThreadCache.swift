import CAshlar

/// One thread's free blocks: for each size class a bin, an array of blocks with a count.
///
/// The hot path finds its bin through two routes that lie in the cache itself: one from the size asked, one from a
/// block's tag. Every tag that is not that of a live small block routes to the *null bin* (the cache's first bytes,
/// zero), which is always empty and always full, so that "is it live, is it ours, is there room" is one comparison. Routing everything to the null bin
/// is also how a mode that wants to see every call (the tracker) takes the hot path away and gives it back.
///
/// Owned by one thread. Others only read counts, and slots for a report, and write routes; these are therefore
/// relaxed atomics, which cost nothing. The memory is metadata and never unmapped.
package struct ThreadCache<Memory: SharedMemory> {
  package let address: UnsafeMutableRawPointer

  @inline(__always)
  package init(_ address: UnsafeMutableRawPointer) { self.address = address }

  // The layout, in bytes. `ashlar_empty_cache` has the same one, up to the table of bins.
  private enum Offset {
    static var nextCache: Int { 32 }
    static var owned: Int { 40 }
    static var armed: Int { 48 }
    static var random: Int { 56 }
    static var sizeRoutes: Int { 64 }
    static var tagRoutes: Int { 640 }
    static var bins: Int { 2688 }
    static var firstBin: Int { 3264 }
  }

  /// The largest size with a route of its own.
  package static var routedSize: Int { 1024 }

  package static var bytes: Int {
    var total = Offset.firstBin
    for index in 0..<SizeClass.count { total += Bin<Memory>.bytes(SizeClass(index: index)) }
    return total
  }

  /// The calling thread's cache; the empty one if it has none.
  @inline(__always)
  package static var current: ThreadCache { ThreadCache(Memory.cache) }

  package var isEmptyCache: Bool { address == ashlar_no_cache() }

  // MARK: Routes

  @inline(__always)
  private func route(_ table: Int, _ index: Int) -> SharedWord {
    SharedWord((address + table).assumingMemoryBound(to: UInt.self) + index)
  }

  @inline(__always)
  private func follow(_ table: Int, _ index: Int) -> Bin<Memory> {
    Bin(UnsafeMutableRawPointer(bitPattern: Memory.load(route(table, index))).unsafelyUnwrapped)
  }

  /// The bin to allocate `size` bytes from, at most `routedSize`.
  @inline(__always)
  package func bin(routing size: UInt) -> Bin<Memory> { follow(Offset.sizeRoutes, Int(bitPattern: (size &+ 15) &>> 4)) }

  /// The bin that a block with this tag is freed to.
  @inline(__always)
  package func bin(routing tag: Tag) -> Bin<Memory> { follow(Offset.tagRoutes, Int(tag.value)) }

  /// The bin of a class, whatever the routes say.
  @inline(__always)
  package func bin(_ sizeClass: SizeClass) -> Bin<Memory> { follow(Offset.bins, sizeClass.index) }

  /// Sets up the bins in zeroed memory, and closes the routes that stay so; the rest is for `setRoutes`. `capacity` answers
  /// how many blocks a bin of a class may hold, at most two magazines.
  package func lay(capacity: (SizeClass) -> Int) {
    var next = address + Offset.firstBin
    for index in 0..<SizeClass.count {
      let sizeClass = SizeClass(index: index)
      Memory.store(UInt(bitPattern: next), to: route(Offset.bins, index))
      bin(sizeClass).capacity = UInt(capacity(sizeClass))
      next += Bin<Memory>.bytes(sizeClass)
    }
    for tag in 0..<256 { Memory.store(UInt(bitPattern: address), to: route(Offset.tagRoutes, tag)) }
  }

  /// Points the routes at the bins, or all of them at the null bin. Any thread may do it to any cache: the owner
  /// goes by the old or the new route at each call.
  package func setRoutes(open: Bool) {
    for granules in 0...(Self.routedSize / 16) {
      setRoute(route(Offset.sizeRoutes, granules), to: SizeClass(holding: granules * 16), open)
    }
    for index in 0..<SizeClass.count {
      let sizeClass = SizeClass(index: index)
      setRoute(route(Offset.tagRoutes, Int(Tag.free(sizeClass).live.value)), to: sizeClass, open)
    }
  }

  private func setRoute(_ route: SharedWord, to sizeClass: SizeClass, _ open: Bool) {
    let bin = Memory.load(self.route(Offset.bins, sizeClass.index))
    Memory.store(open ? bin : UInt(bitPattern: address), to: route)
  }

  // MARK: Registry

  /// The cache registered before this one; written once.
  package var nextCache: SharedWord { SharedWord(address + Offset.nextCache) }
  /// 1 while a thread owns it, 0 while it waits for one, 2 when its thread was lost in a fork.
  package var owned: SharedWord { SharedWord(address + Offset.owned) }

  // MARK: Sampling

  /// One block in how many its bins are armed for; 0 for none. The owner's alone.
  package var armedInterval: UInt {
    get { Memory.load(SharedWord(address + Offset.armed)) }
    nonmutating set { Memory.store(newValue, to: SharedWord(address + Offset.armed)) }
  }

  /// The next of a sequence of random words (xorshift64*, Marsaglia 2003, Vigna 2016). The owner's alone.
  package func nextRandom() -> UInt {
    let word = SharedWord(address + Offset.random)
    var state = Memory.load(word)
    // Caches are apart by their addresses, processes by their secret.
    if state == 0 { state = (Memory.random ^ UInt(bitPattern: address)) | 1 }
    state ^= state &>> 12
    state ^= state &<< 25
    state ^= state &>> 27
    Memory.store(state, to: word)
    return state &* 0x2545_F491_4F6C_DD1D
  }

  /// Arms every bin: each for a turn between 1 and twice the interval, so that one block in `interval` is taken on average.
  package func arm(interval: UInt) {
    for index in 0..<SizeClass.count { arm(bin(SizeClass(index: index)), interval: interval) }
    armedInterval = interval
  }

  /// Arms one bin for its next turn.
  package func arm(_ bin: Bin<Memory>, interval: UInt) {
    let turn = interval == 0 ? 0 : 1 + nextRandom() % (2 * interval - 1)
    bin.arm(turn: turn, wasArmed: armedInterval != 0)
  }
}

/// The blocks of one class in a thread's cache.
package struct Bin<Memory: SharedMemory> {
  package let address: UnsafeMutableRawPointer

  @inline(__always)
  package init(_ address: UnsafeMutableRawPointer) { self.address = address }

  private static var headerBytes: Int { 32 }

  package static func bytes(_ sizeClass: SizeClass) -> Int { headerBytes + 2 * sizeClass.batch * 8 }

  @inline(__always)
  private var countWord: SharedWord { SharedWord(address) }
  @inline(__always)
  private var allocationWord: SharedWord { SharedWord(address + 16) }

  /// Blocks in the bin.
  @inline(__always)
  package var count: UInt {
    get { Memory.load(countWord) }
    nonmutating set { Memory.store(newValue, to: countWord) }
  }

  /// Blocks that it may hold. Set before the cache has its first owner, and never changed.
  @inline(__always)
  package var capacity: UInt {
    get { PlainPointer<Memory, UInt>(address)[1] }
    nonmutating set { PlainPointer<Memory, UInt>(address)[1] = newValue }
  }

  // Counts up. Where blocks are sampled it starts so that it wraps to zero at the next block to be sampled: the carry
  // is what tells the hot path.
  @inline(__always)
  private var counted: UInt {
    get { Memory.load(allocationWord) }
    nonmutating set { Memory.store(newValue, to: allocationWord) }
  }
  // What to add to it to have all allocations.
  private var uncounted: UInt {
    get { Memory.load(SharedWord(address + 24)) }
    nonmutating set { Memory.store(newValue, to: SharedWord(address + 24)) }
  }

  /// Allocations ever made from it.
  package var allocations: UInt { counted &+ uncounted }

  @inline(__always)
  private func slot(_ index: UInt) -> SharedWord {
    SharedWord((address + Self.headerBytes).assumingMemoryBound(to: UInt.self) + Int(bitPattern: index))
  }

  @inline(__always)
  package subscript(index: UInt) -> UInt {
    get { Memory.load(slot(index)) }
    nonmutating set { Memory.store(newValue, to: slot(index)) }
  }

  /// Takes the block put in last; nil when the bin is empty, or when the next block is to be sampled.
  @inline(__always)
  package func pop() -> UInt? {
    let (left, isEmpty) = count.subtractingReportingOverflow(1)
    guard !isEmpty else { return nil }
    guard !Memory.count(allocationWord) else { return nil }
    count = left
    return self[left]
  }

  /// Takes the block put in last, whoever's turn it is; nil when the bin is empty.
  package func popUnsampled() -> UInt? {
    guard count > 0 else { return nil }
    count &-= 1
    // One short of wrapping it stays, until the turn is taken.
    if counted == .max { uncounted &+= 1 } else { counted &+= 1 }
    return self[count]
  }

  /// Whether the next block is to be sampled, in a bin that was armed. The turn is to be taken by arming again.
  package var isDue: Bool { counted == 0 || counted == .max }

  /// Makes the `turn`th allocation from now on the one to be sampled; 0 for none.
  package func arm(turn: UInt, wasArmed: Bool) {
    // The hot path has counted an allocation that it did not make.
    let all = wasArmed && counted == 0 ? allocations &- 1 : allocations
    counted = turn == 0 ? all : 0 &- turn
    uncounted = all &- counted
  }

  /// Forgets the `leaving` blocks that have been in it longest.
  package func dropFirst(_ leaving: Int) {
    let left = Int(count) - leaving
    for index in 0..<left { self[UInt(index)] = self[UInt(index + leaving)] }
    count = UInt(left)
  }

  /// Whether the bin holds a block; for reports, so the answer may be stale for another thread's bin.
  package func holds(_ block: BlockBase) -> Bool {
    let count = min(count, capacity)
    for index in 0..<count where self[index] == block.address { return true }
    return false
  }
}
