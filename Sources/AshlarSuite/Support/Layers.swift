import Ashlar

/// Where layers have their state: zeroed memory that lives as long as they do.
protocol StateMemory: AnyObject {
  /// So many bytes for the part that is named, aligned to a line.
  func take(_ bytes: Int, _ name: String) -> UnsafeMutableRawPointer
}

/// The layers below the thread caches, on a region of their own, which whoever made them releases.
package class Layers<Memory: SharedMemory> {
  package let region: Region<Memory>
  package let metadata: MetadataMemory<Memory>
  package let buddy: Buddy<Memory>
  package let pool: SlabPool<Memory>
  package let slabs: SlabClasses<Memory>
  package let depots: Depots<Memory>
  let tables: BuddyTables
  private let memory: any StateMemory

  /// - Parameters:
  ///   - units: mebibytes that there are, rounded down to a multiple of 4.
  ///   - strict: reserve without commit charge, as under `vm.overcommit_memory=2`.
  ///   - queueCapacity: entries of the merge queue.
  ///   - cap: bytes that stay dirty at most on each level.
  ///   - delay: milliseconds that they do.
  ///   - depotBytes: bytes that a class keeps in its global stack.
  ///   - surplusBytes: what all classes keep there above that.
  init(
    units: Int, strict: Bool = false, queueCapacity: Int, cap: Int, delay: UInt = 1_000_000, depotBytes: Int = 1 << 20,
    surplusBytes: Int = 0, memory: any StateMemory
  ) {
    self.memory = memory
    func take(_ bytes: Int, _ name: String = "") -> UnsafeMutableRawPointer { memory.take(bytes, name) }
    guard let region = Region<Memory>(
      bytes: units << 20, strict: strict, unitRecordBytes: { BuddyTables.bytes(units: $0, queueCapacity: queueCapacity) })
    else { fatalError("no region for the layers") }
    self.region = region
    func retention() -> Retention<Memory> {
      Retention(region: region, cap: cap, delay: delay, state: take(Retention<Memory>.bytes))
    }
    metadata = MetadataMemory(state: take(MetadataMemory<Memory>.bytes, "metadata"))
    tables = BuddyTables(memory: region.unitRecords, units: region.unitCount, queueCapacity: queueCapacity)
    buddy = Buddy(tables: tables, retention: retention())
    pool = SlabPool(
      region: region, buddy: buddy, retention: retention(), state: take(SlabPool<Memory>.stateBytes, "pool"),
      table: take(SlabPool<Memory>.tableBytes(units: region.unitCount), "units"))
    slabs = SlabClasses(region: region, pool: pool, state: take(SlabClasses<Memory>.bytes, "slab classes"))
    depots = Depots(
      heads: take(Depots<Memory>.bytes, "depots"), metadata: metadata, limitBytes: depotBytes, surplusLimitBytes: surplusBytes)
  }

  /// Where the tag of a block lies, by the block's address.
  package func tag(_ block: UInt) -> TagAddress { region.tagAddress(of: BlockBase(address: block)) }
}

/// The layers on this machine's memory, for what calls them directly.
package final class OwnLayers: Layers<HardwareMemory> {
  package init(
    mebibytes: Int, cap: Int = 1 << 40, delay: UInt = 1_000_000, strict: Bool = false, queueCapacity: Int = 256,
    depotBytes: Int = 1 << 20, surplusBytes: Int = 0
  ) {
    super.init(
      units: mebibytes, strict: strict, queueCapacity: queueCapacity, cap: cap, delay: delay, depotBytes: depotBytes,
      surplusBytes: surplusBytes, memory: OwnMemory())
  }

  deinit { region.release() }

  /// Up to `count` blocks of a class, straight from its slabs.
  package func blocks(_ sizeClass: SizeClass, _ count: Int) -> [UInt] {
    var blocks: [UInt] = []
    func add(_ block: TagAddress) { blocks.append(region.block(taggedAt: block).address) }
    while blocks.count < count, slabs.take(sizeClass, count - blocks.count, add) > 0 {}
    return blocks
  }

  /// Puts a full magazine of blocks, straight from the slabs, on the global stack of their class; false when there is no memory.
  package func putMagazine(_ sizeClass: SizeClass) -> Bool {
    guard let magazine = depots.takeEmpty() else { return false }
    let blocks = blocks(sizeClass, sizeClass.batch)
    magazine.hold(blocks.count) { tag(blocks[$0]) }
    depots.put(magazine, sizeClass)
    return true
  }

  /// Sends blocks home; answers one that was there already.
  package func giveBack(_ sizeClass: SizeClass, _ blocks: [UInt]) -> BlockBase? {
    slabs.giveBack(sizeClass, blocks.count) { tag(blocks[$0]) }.map(region.block(taggedAt:))
  }
}

private final class OwnMemory: StateMemory {
  private var pieces: [ZeroedMemory] = []

  func take(_ bytes: Int, _ name: String) -> UnsafeMutableRawPointer {
    let piece = ZeroedMemory(bytes: bytes)
    pieces.append(piece)
    return piece.start
  }
}

extension Magazine {
  /// Fills an empty magazine with `count` blocks, which `block` answers by number.
  package func hold(_ count: Int, _ block: (Int) -> TagAddress) {
    for index in 0..<count { self[index] = block(index) }
    self.count = count
  }
}
