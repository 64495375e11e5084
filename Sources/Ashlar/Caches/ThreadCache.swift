import CAshlar

/// One thread's free blocks: for each size class a bin, a stack of them.
///
/// The hot path finds its bin without a test: from the size asked by a route that lies in the cache itself, from a block by
/// the route of its page, which leads to the same place in every cache. A page that is in no slab leads to the *null bin*,
/// the cache's first bytes, which has no room. So has any bin while the hot path is closed, and no size is served: this is
/// how a mode that wants to see every call (the tracker) takes the hot path away and gives it back. A thread without a cache
/// has the *empty* one, all zero, and with it a hot path that is closed.
///
/// Owned by one thread. Others only read counts, and slots for a report, and open and close the hot path; these are
/// therefore relaxed atomics, which cost nothing. The memory is metadata and never unmapped.
package struct ThreadCache<Memory: SharedMemory> {
  package let address: UnsafeMutableRawPointer

  @inline(__always)
  package init(_ address: UnsafeMutableRawPointer) { self.address = address }

  // The layout, in bytes.
  private enum Offset {
    static var sizeLimit: Int { 16 }
    static var spare: Int { 24 }
    static var nextCache: Int { 32 }
    static var owned: Int { 40 }
    static var armed: Int { 48 }
    static var random: Int { 56 }
    static var sizeRoutes: Int { 64 }
    static var idleTimer: Int { 592 }
  }

  /// The largest size with a route of its own.
  package static var routedSize: Int { 1024 }

  package static var bytes: Int {
    var slots = 0
    for sizeClass in SizeClass.all { slots += BinLayout.slots(of: sizeClass) }
    return BinLayout.slotsOffset + (slots + SizeClass.count) * MemoryLayout<UInt>.stride
  }

  /// The calling thread's cache; the empty one if it has none.
  @inline(__always)
  package static var current: ThreadCache { ThreadCache(Memory.cache) }

  package var isEmptyCache: Bool { address == ashlar_no_cache() }

  // MARK: Bins

  @inline(__always)
  private func sizeRoute(_ granules: UInt) -> SharedWord {
    SharedWord((address + Offset.sizeRoutes).assumingMemoryBound(to: UInt.self) + Int(bitPattern: granules))
  }

  // One more than the largest size that the hot path serves; 0 while it is closed.
  @inline(__always)
  private var sizeLimit: SharedWord { SharedWord(address + Offset.sizeLimit) }

  /// Whether the hot path serves `size` bytes.
  @inline(__always)
  package func serves(_ size: UInt) -> Bool { Memory.isBelow(size, sizeLimit) }

  /// The bin to allocate `size` bytes from, where they are served.
  @inline(__always)
  package func bin(routing size: UInt) -> Bin<Memory> {
    Bin(UnsafeMutableRawPointer(bitPattern: Memory.load(sizeRoute((size &+ 15) &>> 4))).unsafelyUnwrapped)
  }

  /// The bin that the route of a page leads to.
  // Its address is worked out once: a store that is addressed by two registers costs more, and is forwarded later.
  @inline(__always)
  package func bin(at route: UInt16) -> Bin<Memory> {
    let bin = ashlar_settled(UInt(bitPattern: address) &+ UInt(route))
    return Bin(UnsafeMutableRawPointer(bitPattern: bin).unsafelyUnwrapped)
  }

  @inline(__always)
  package func bin(_ sizeClass: SizeClass) -> Bin<Memory> { Bin(address + BinLayout.offset(of: sizeClass)) }

  /// Sets up the bins in zeroed memory, most of which stays untouched; the hot path stays closed. `capacity` answers how many blocks
  /// a bin of a class has slots for, at most two magazines.
  package func lay(capacity: (SizeClass) -> Int) {
    var slots = (address + BinLayout.slotsOffset).assumingMemoryBound(to: UInt.self)
    let spareBottoms = (address + Self.bytes).assumingMemoryBound(to: UInt.self) - SizeClass.count
    for sizeClass in SizeClass.all {
      bin(sizeClass).lay(
        sizeClass, slots: SharedWord(slots + 1), capacity: UInt(capacity(sizeClass)), spareBottom: SharedWord(spareBottoms + sizeClass.index))
      slots += BinLayout.slots(of: sizeClass)
    }
    for granules in 0...(Self.routedSize / 16) {
      Memory.store(UInt(bitPattern: bin(SizeClass(holding: granules * 16)).address), to: sizeRoute(UInt(granules)))
    }
  }

  /// Opens the hot path or closes it. Any thread may do it to any cache: the owner goes by the old or the new state at
  /// each call.
  package func setOpen(_ open: Bool) {
    Memory.store(open ? UInt(Self.routedSize + 1) : 0, to: sizeLimit)
    for sizeClass in SizeClass.all { bin(sizeClass).setOpen(open) }
  }

  // MARK: Registry

  /// The cache registered before this one; written once.
  package var nextCache: SharedWord { SharedWord(address + Offset.nextCache) }
  /// 1 while a thread owns it, 0 while it waits for one, 2 when its thread was lost in a fork.
  package var owned: SharedWord { SharedWord(address + Offset.owned) }

  // MARK: Magazines

  // Address of an empty magazine, 0 for none: a refill leaves it here for the next flush. The owner's alone.
  private var spare: UInt {
    get { Memory.load(SharedWord(address + Offset.spare)) }
    nonmutating set { Memory.store(newValue, to: SharedWord(address + Offset.spare)) }
  }

  /// An empty magazine that the caller owns; nil when the system has no memory for a new one.
  package func takeEmpty(from depots: Depots<Memory>) -> Magazine<Memory>? {
    guard spare != 0 else { return depots.takeEmpty() }
    let magazine = Magazine<Memory>(spare)
    spare = 0
    return magazine
  }

  /// Puts a magazine away whose blocks have gone elsewhere.
  package func discard(_ magazine: Magazine<Memory>, to depots: Depots<Memory>) {
    guard spare == 0 else { return depots.discard(magazine) }
    spare = magazine.address
  }

  /// Gives up the magazine that it has to spare.
  package func discardSpare(to depots: Depots<Memory>) {
    guard spare != 0 else { return }
    depots.discard(Magazine(spare))
    spare = 0
  }

  // MARK: Idle bins

  /// Says when to look for bins that are not in use. The owner's alone.
  package func idleTimer(delay: UInt) -> SweepTimer<Memory> { SweepTimer(delay: delay, state: address + Offset.idleTimer) }

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

  /// Arms every bin: each for a turn between 1 and twice the interval, so that one block in `interval` is taken on average;
  /// for its usual turn, at which nothing is sampled, where the interval is 0.
  package func arm(interval: UInt) {
    for sizeClass in SizeClass.all { arm(bin(sizeClass), interval: interval) }
    armedInterval = interval
  }

  /// For a thread that begins: makes the first block of each class shorter than a line the one that is due. What such a bin
  /// holds by then another thread had, and may have neighbours of in the same line. Where blocks are sampled their turns stand.
  package func armFirst() {
    guard armedInterval == 0 else { return }
    for sizeClass in SizeClasses(0..<SizeClass(holding: CacheLine.bytes).index) { bin(sizeClass).arm(turn: 1) }
  }

  /// Arms one bin for its next turn.
  package func arm(_ bin: Bin<Memory>, interval: UInt) {
    bin.arm(turn: interval == 0 ? usualTurn(of: bin) : 1 + nextRandom() % (2 * interval - 1))
  }

  // Another one for each of 64 classes, down to half: those that are used alike would have their turns together, and memory be looked
  // at seldom.
  private func usualTurn(of bin: Bin<Memory>) -> UInt {
    Bin<Memory>.longestTurn &- 8 &* UInt(bitPattern: (bin.address - address) / BinLayout.stride & 63)
  }
}
