/// Where the parts of a heap have their state, as offsets into one piece of memory: each on lines of its own.
struct HeapLayout<Memory: SharedMemory> {
  let metadata, mediumRetention, poolRetention, pool, units, slabs, depots, depotTimer: Int
  let registry, direct, tracker, policy, guarded, pages, counters: Int
  /// All of it.
  let bytes: Int

  init(units count: Int) {
    var end = 0
    func take(_ bytes: Int) -> Int {
      defer { end += CacheLine.rounded(bytes) }
      return end
    }
    metadata = take(MetadataMemory<Memory>.bytes)
    mediumRetention = take(Retention<Memory>.bytes)
    poolRetention = take(Retention<Memory>.bytes)
    pool = take(SlabPool<Memory>.stateBytes)
    units = take(SlabPool<Memory>.tableBytes(units: count))
    slabs = take(SlabClasses<Memory>.bytes)
    depots = take(Depots<Memory>.bytes)
    depotTimer = take(SweepTimer<Memory>.bytes)
    registry = take(CacheRegistry<Memory>.bytes)
    direct = take(DirectMappings<Memory>.bytes)
    tracker = take(Tracker<Memory>.bytes)
    policy = take(GuardPolicy<Memory>.bytes)
    guarded = take(GuardedBlocks<Memory>.bytes)
    pages = take(GuardPages<Memory>.bytes)
    counters = take(HeapCounters<Memory>.bytes)
    bytes = end
  }
}
