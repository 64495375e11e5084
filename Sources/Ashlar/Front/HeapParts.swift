import CAshlar

/// What a heap consists of. Set up once, and read-only from then on: each part guards what changes in it.
package struct HeapParts<Memory: SharedMemory> {
  /// As they are followed: strict too where the system asks for it.
  let switches: Switches
  let region: Region<Memory>
  let metadata: MetadataMemory<Memory>
  let buddy: Buddy<Memory>
  let pool: SlabPool<Memory>
  let slabs: SlabClasses<Memory>
  let depots: Depots<Memory>
  /// Says when to look for blocks in the depots that nobody needs.
  let depotTimer: SweepTimer<Memory>
  let registry: CacheRegistry<Memory>
  let direct: DirectMappings<Memory>
  let tracker: Tracker<Memory>
  let policy: GuardPolicy<Memory>
  let guarded: GuardedBlocks<Memory>
  let pages: GuardPages<Memory>
  let canary = Canary(secret: Memory.random)
  let marks: MemoryMarks
  let counters: HeapCounters<Memory>

  /// Sets the parts up on memory of their own; nil, with nothing left behind, when the system has none.
  init?(switches: Switches, marks: MemoryMarks) {
    var switches = switches
    switches.strict = switches.strict || Self.countsEveryWritablePage("/proc/sys/vm/overcommit_memory")
    self.switches = switches
    self.marks = marks
    // Half of a limited address space stays with the program.
    var wanted = switches.region
    let limit = ashlar_os_address_space_limit()
    while wanted > Region<Memory>.smallest, wanted > limit / 2 { wanted >>= 1 }
    guard let region = Region<Memory>(bytes: wanted, strict: switches.strict, unitRecordBytes: { BuddyTables.bytes(units: $0) })
    else { return nil }
    let layout = HeapLayout<Memory>(units: region.unitCount)
    guard let memory = Memory.map(layout.bytes) else {
      region.release()
      return nil
    }
    func retention(_ state: Int) -> Retention<Memory> {
      Retention(region: region, cap: switches.retain, delay: UInt(switches.delay), state: memory + state)
    }
    self.region = region
    metadata = MetadataMemory(state: memory + layout.metadata)
    buddy = Buddy(
      tables: BuddyTables(memory: region.unitRecords, units: region.unitCount), retention: retention(layout.mediumRetention))
    pool = SlabPool(
      region: region, buddy: buddy, retention: retention(layout.poolRetention), state: memory + layout.pool,
      table: memory + layout.units)
    slabs = SlabClasses(region: region, pool: pool, state: memory + layout.slabs)
    depots = Depots(
      heads: memory + layout.depots, metadata: metadata, limitBytes: switches.depot, surplusLimitBytes: switches.surplus)
    depotTimer = SweepTimer(delay: UInt(switches.delay), state: memory + layout.depotTimer)
    registry = CacheRegistry(state: memory + layout.registry, metadata: metadata)
    direct = DirectMappings(state: memory + layout.direct, hugePages: switches.hugePages)
    tracker = Tracker(state: memory + layout.tracker)
    policy = GuardPolicy(state: memory + layout.policy)
    guarded = GuardedBlocks(state: memory + layout.guarded)
    pages = GuardPages(state: memory + layout.pages)
    counters = HeapCounters(state: memory + layout.counters)
  }

  /// Whether the system charges every writable page (`vm.overcommit_memory` is 2).
  ///
  /// - Parameter file: where it says so; one that can't be read says no.
  package static func countsEveryWritablePage(_ file: UnsafePointer<CChar>) -> Bool {
    var mode: UInt8 = 0
    _ = ashlar_os_read_file(file, &mode, MemoryLayout<UInt8>.size)
    return mode == UInt8(ascii: "2")
  }
}
