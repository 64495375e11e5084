import CAshlar

/// What a heap consists of. Set up once, and read-only from then on: each part guards what changes in it.
struct HeapParts<Memory: SharedMemory> {
  let switches: Switches
  let region: Region<Memory>
  let metadata: MetadataMemory<Memory>
  let buddy: Buddy<Memory>
  let pool: SlabPool<Memory>
  let slabs: SlabClasses<Memory>
  let depots: Depots<Memory>
  let registry: CacheRegistry<Memory>
  let direct: DirectMappings<Memory>
  let tracker: Tracker<Memory>
  let policy: GuardPolicy<Memory>
  let guarded: GuardedBlocks<Memory>
  let pages: GuardPages<Memory>
  let canary = Canary(secret: Memory.random)
  let marks = MemoryMarks()
  let counters: HeapCounters<Memory>

  /// Sets the parts up on memory of their own; nil, with nothing left behind, when the system has none.
  init?(switches: Switches) {
    self.switches = switches
    let strict = switches.strict || Self.countsEveryWritablePage()
    // Half of a limited address space stays with the program.
    var wanted = switches.region
    let limit = ashlar_os_address_space_limit()
    while wanted > 4 << 20, wanted > limit / 2 { wanted >>= 1 }
    guard let region = Region<Memory>(bytes: wanted, strict: strict, unitRecordBytes: { BuddyTables.bytes(units: $0) })
    else { return nil }
    guard let memory = Memory.map(Self.stateBytes(units: region.unitCount)) else {
      region.release()
      return nil
    }
    var next = memory
    func take(_ bytes: Int) -> UnsafeMutableRawPointer {
      defer { next += (bytes + 63) & ~63 }
      return next
    }
    func retention() -> Retention<Memory> {
      Retention(region: region, cap: switches.retain, delay: UInt(switches.delay), state: take(Retention<Memory>.bytes))
    }
    self.region = region
    metadata = MetadataMemory(state: take(MetadataMemory<Memory>.bytes))
    buddy = Buddy(tables: BuddyTables(memory: region.unitRecords, units: region.unitCount), retention: retention())
    pool = SlabPool(
      region: region, buddy: buddy, retention: retention(), state: take(SlabPool<Memory>.stateBytes),
      table: take(SlabPool<Memory>.tableBytes(units: region.unitCount)))
    slabs = SlabClasses(region: region, pool: pool, state: take(SlabClasses<Memory>.bytes))
    depots = Depots(heads: take(Depots<Memory>.bytes), metadata: metadata, limitBytes: switches.depot)
    registry = CacheRegistry(state: take(CacheRegistry<Memory>.bytes), metadata: metadata)
    direct = DirectMappings(state: take(DirectMappings<Memory>.bytes), hugePages: switches.hugePages)
    tracker = Tracker(state: take(Tracker<Memory>.bytes))
    policy = GuardPolicy(state: take(GuardPolicy<Memory>.bytes))
    guarded = GuardedBlocks(state: take(GuardedBlocks<Memory>.bytes))
    pages = GuardPages(state: take(GuardPages<Memory>.bytes))
    counters = HeapCounters(state: take(HeapCounters<Memory>.bytes))
  }

  private static func stateBytes(units: Int) -> Int {
    var total = MetadataMemory<Memory>.bytes + 2 * Retention<Memory>.bytes
    total += SlabPool<Memory>.stateBytes + SlabPool<Memory>.tableBytes(units: units) + SlabClasses<Memory>.bytes
    total += Depots<Memory>.bytes + CacheRegistry<Memory>.bytes + DirectMappings<Memory>.bytes
    total += Tracker<Memory>.bytes + HeapCounters<Memory>.bytes
    total += GuardPolicy<Memory>.bytes + GuardedBlocks<Memory>.bytes + GuardPages<Memory>.bytes
    // Each part begins on a line of its own.
    return total + 20 * 64
  }

  /// Whether the system charges every writable page (`vm.overcommit_memory` is 2).
  private static func countsEveryWritablePage() -> Bool {
    var mode: UInt8 = 0
    let read = ashlar_os_read_file("/proc/sys/vm/overcommit_memory", &mode, 1)
    return read == 1 && mode == 50
  }
}
