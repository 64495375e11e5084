import CAshlar

/// The allocator: the four levels and everything that serves them, tied together.
///
/// A value of pointers; what they point at lives as long as the process. Every method may be called by any thread at
/// any time unless it says otherwise.
///
/// Order of locks: tracker, registry, guarded blocks, guard pages, a class of slabs, pool, metadata, direct table,
/// pending unmaps, and the buddy system's worker flag last. No lock is held while a fault is reported.
package struct Heap {
  package typealias Memory = HardwareMemory

  package let switches: Switches
  package let region: Region
  package let metadata: MetadataMemory
  package let buddy: Buddy<Memory>
  package let pool: SlabPool<Memory>
  package let slabs: SlabClasses<Memory>
  package let depots: Depots<Memory>
  package let registry: CacheRegistry
  package let direct: DirectMappings
  package let tracker: Tracker
  package let policy: GuardPolicy
  package let guarded: GuardedBlocks
  package let pages: GuardPages
  let canary = Canary(secret: System.random)
  let marks = MemoryMarks()
  let counters: HeapCounters

  /// Sets up a heap on memory of its own; nil, with nothing left behind, when the system has none.
  package init?(switches: Switches) {
    self.switches = switches
    let strict = switches.strict || Self.countsEveryWritablePage()
    // Half of a limited address space stays with the program.
    var wanted = switches.region
    let limit = ashlar_os_address_space_limit()
    while wanted > 4 << 20, wanted > limit / 2 { wanted >>= 1 }
    guard let region = Region(bytes: wanted, strict: strict, unitRecordBytes: BuddyTables.bytes) else { return nil }
    guard let memory = System.map(Self.stateBytes(units: region.unitCount)) else {
      region.release()
      return nil
    }
    var next = memory
    func take(_ bytes: Int) -> UnsafeMutableRawPointer {
      defer { next += (bytes + 63) & ~63 }
      return next
    }
    func retention() -> Retention {
      Retention(region: region, cap: switches.retain, delay: UInt(switches.delay), state: take(Retention.bytes))
    }
    self.region = region
    metadata = MetadataMemory(state: take(MetadataMemory.bytes))
    buddy = Buddy(tables: BuddyTables(memory: region.unitRecords, units: region.unitCount), retention: retention())
    pool = SlabPool(
      region: region, buddy: buddy, retention: retention(), state: take(SlabPool<Memory>.stateBytes),
      table: take(SlabPool<Memory>.tableBytes(units: region.unitCount)))
    slabs = SlabClasses(region: region, pool: pool, state: take(SlabClasses<Memory>.bytes))
    depots = Depots(heads: take(Depots<Memory>.bytes), metadata: metadata, limitBytes: switches.depot)
    registry = CacheRegistry(state: take(CacheRegistry.bytes), metadata: metadata)
    direct = DirectMappings(state: take(DirectMappings.bytes), hugePages: switches.hugePages)
    tracker = Tracker(state: take(Tracker.bytes))
    policy = GuardPolicy(state: take(GuardPolicy.bytes))
    guarded = GuardedBlocks(state: take(GuardedBlocks.bytes))
    pages = GuardPages(state: take(GuardPages.bytes))
    counters = HeapCounters(state: take(HeapCounters.bytes))
  }

  private static func stateBytes(units: Int) -> Int {
    var total = MetadataMemory.bytes + 2 * Retention.bytes
    total += SlabPool<Memory>.stateBytes + SlabPool<Memory>.tableBytes(units: units) + SlabClasses<Memory>.bytes
    total += Depots<Memory>.bytes + CacheRegistry.bytes + DirectMappings.bytes + Tracker.bytes + HeapCounters.bytes
    total += GuardPolicy.bytes + GuardedBlocks.bytes + GuardPages.bytes
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
