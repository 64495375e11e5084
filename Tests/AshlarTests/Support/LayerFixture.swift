@testable import Ashlar

/// The layers below the thread caches, on a region of their own.
final class LayerFixture {
  let region: Region<HardwareMemory>
  let metadata: MetadataMemory<HardwareMemory>
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
    region = Region(bytes: mebibytes << 20, strict: strict, unitRecordBytes: { BuddyTables.bytes(units: $0) })!
    metadata = MetadataMemory(state: take(MetadataMemory<HardwareMemory>.bytes))
    func retention(_ region: Region<HardwareMemory>) -> Retention<HardwareMemory> {
      Retention(region: region, cap: cap, delay: delay, state: take(Retention<HardwareMemory>.bytes))
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
    var blocks: [UInt] = []
    _ = slabs.take(sizeClass, count) { blocks.append($0) }
    return blocks
  }

  func giveBack(_ sizeClass: SizeClass, _ blocks: [UInt]) -> BlockBase? {
    slabs.giveBack(sizeClass, blocks.count) { blocks[$0] }
  }
}
