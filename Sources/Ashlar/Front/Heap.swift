import CAshlar

/// The allocator: the four levels and everything that serves them, tied together.
///
/// A value of pointers; what they point at lives as long as the process. Every method may be called by any thread at
/// any time unless it says otherwise.
///
/// Order of locks: tracker, registry, guarded blocks, guard pages, a class of slabs, pool, metadata, direct table, the
/// buddy system's worker flag, and pending unmaps last. No lock is held while a fault is reported.
package struct Heap<Memory: SharedMemory> {
  package let switches: Switches
  package let region: Region<Memory>
  package let metadata: MetadataMemory<Memory>
  package let buddy: Buddy<Memory>
  package let pool: SlabPool<Memory>
  package let slabs: SlabClasses<Memory>
  package let depots: Depots<Memory>
  package let registry: CacheRegistry<Memory>
  package let direct: DirectMappings<Memory>
  package let tracker: Tracker<Memory>
  package let policy: GuardPolicy<Memory>
  package let guarded: GuardedBlocks<Memory>
  package let pages: GuardPages<Memory>
  package let canary = Canary(secret: Memory.random)
  let marks: MemoryMarks
  let counters: HeapCounters<Memory>

  /// Sets up a heap on memory of its own; nil, with nothing left behind, when the system has none.
  package init?(switches: Switches, marks: MemoryMarks = MemoryMarks()) {
    self.switches = switches
    self.marks = marks
    let strict = switches.strict || Self.countsEveryWritablePage("/proc/sys/vm/overcommit_memory")
    // Half of a limited address space stays with the program.
    var wanted = switches.region
    let limit = ashlar_os_address_space_limit()
    while wanted > Region<Memory>.smallest, wanted > limit / 2 { wanted >>= 1 }
    guard let region = Region<Memory>(bytes: wanted, strict: strict, unitRecordBytes: { BuddyTables.bytes(units: $0) })
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
    depots = Depots(heads: memory + layout.depots, metadata: metadata, limitBytes: switches.depot)
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
