@testable import Ashlar

/// The layers below the thread caches, on a region of their own.
final class LayerFixture {
  let region: Region
  let metadata: MetadataMemory
  let buddy: Buddy<HardwareMemory>
  let pool: SlabPool<HardwareMemory>
  let slabs: SlabClasses<HardwareMemory>
  let depots: Depots<HardwareMemory>
  private var memory: [ZeroedMemory] = []

  /// - Parameters:
  ///   - cap: bytes that stay dirty at most on each level.
  ///   - delay: milliseconds that they do.
  ///   - strict: reserve without commit charge, as under `vm.overcommit_memory=2`.
  init(mebibytes: Int, cap: Int = 1 << 40, delay: UInt = 1_000_000, strict: Bool = false) {
    var memory: [ZeroedMemory] = []
    func take(_ bytes: Int) -> UnsafeMutableRawPointer {
      memory.append(ZeroedMemory(bytes: bytes))
      return memory.last!.start
    }
    region = Region(bytes: mebibytes << 20, strict: strict, unitRecordBytes: BuddyTables.bytes)!
    metadata = MetadataMemory(state: take(MetadataMemory.bytes))
    func retention(_ region: Region) -> Retention {
      Retention(region: region, cap: cap, delay: delay, state: take(Retention.bytes))
    }
    buddy = Buddy(
      tables: BuddyTables(memory: region.unitRecords, units: region.unitCount), retention: retention(region))
    pool = SlabPool(
      region: region, buddy: buddy, retention: retention(region), state: take(SlabPool<HardwareMemory>.stateBytes),
      table: take(SlabPool<HardwareMemory>.tableBytes(units: region.unitCount)))
    slabs = SlabClasses(region: region, pool: pool, state: take(SlabClasses<HardwareMemory>.bytes))
    depots = Depots(heads: take(Depots<HardwareMemory>.bytes), metadata: metadata, limitBytes: 1 << 20)
    self.memory = memory
  }

  deinit { region.release() }

  func blocks(_ sizeClass: SizeClass, _ count: Int) -> [UInt] {
    [UInt](unsafeUninitializedCapacity: count) { buffer, initialized in
      initialized = slabs.take(sizeClass, count, into: buffer.baseAddress!)
    }
  }

  func giveBack(_ sizeClass: SizeClass, _ blocks: [UInt]) -> BlockBase? {
    var blocks = blocks
    return slabs.giveBack(sizeClass, &blocks, blocks.count)
  }
}
