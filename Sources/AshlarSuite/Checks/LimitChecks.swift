import Ashlar
import Glibc

extension Check {
  static let levels = Check("levels", "the level of blocks at the limit of each, and one byte above") { context in
    let pool = PoolAllocator()
    func figures() -> [Statistics.Figures] {
      let all = pool.statistics()
      return [all.small, all.medium, all.large, all.huge]
    }
    let shapes: [(size: Int, alignment: Int, level: Int)] = [
      (0, 16, 0), (1 << 20, 16, 0), ((1 << 20) + 1, 16, 1), (512 << 20, 16, 1), ((512 << 20) + 1, 16, 2), (1 << 30, 16, 2),
      ((1 << 30) + 1, 16, 3), (1, 64 << 10, 0), (1, 128 << 10, 2), (0, 128 << 10, 2), ((1 << 20) + 1, 64 << 10, 1),
    ]
    for shape in shapes {
      let before = figures()
      guard let block = pool.allocateIfPossible(size: shape.size, alignment: shape.alignment) else {
        context.find("no block of \(shape.size) bytes aligned to \(shape.alignment)")
        continue
      }
      let after = figures()
      let level = (0..<4).first { after[$0].liveBlocks == before[$0].liveBlocks + 1 }
      // No byte was asked for, but one there is.
      block.storeBytes(of: 1, toByteOffset: max(shape.size, 1) - 1, as: UInt8.self)
      context.require(level == shape.level, "\(shape) is of level \(level.map(String.init) ?? "none")")
      pool.deallocate(block)
      context.count(1)
    }
  }

  static let depotLimit = Check(
    "depot-limit", "what the global stacks keep at most: of each class 1 MiB or two magazines, and of all together 32 MiB above that"
  ) { context in
    // Nothing is looked at for its age meanwhile, however long it takes.
    let made = OwnHeap.with(OwnHeap.switches(region: 512 << 20) { $0.delay = 1_000_000_000 }) { heap in
      guard heap.adoptCache() != nil else { return context.find("no cache") }
      limits(of: heap.depots, in: heap, context)
    }
    context.require(made, "no heap")
  }

  private static func limits(of depots: Depots<HardwareMemory>, in heap: Heap<HardwareMemory>, _ context: CheckContext) {
    let (slabs, switches) = (heap.slabs, heap.switches)
    func use(_ size: Int, _ bytes: Int) {
      let blocks = (0..<(bytes / size)).compactMap { _ in heap.allocate(size) }
      blocks.forEach { heap.free($0) }
      context.count(blocks.count)
    }
    // What is turned away and missed is allowed the next time: each turn allows twice as much.
    func allowMost(_ size: Int) {
      let (sizeClass, binBytes) = (SizeClass(holding: size), 2 << 20)
      func isAllowed() -> Bool { depots.allowedBytes(sizeClass) == depots.limit(sizeClass) + switches.surplus }
      for _ in 0..<20 where !isAllowed() { use(size, 2 * depots.allowedBytes(sizeClass) + 2 * binBytes) }
      context.require(isAllowed(), "class \(size): no more than \(depots.allowedBytes(sizeClass)) bytes are allowed")
    }
    func keep(_ size: Int, outOf bytes: Int, _ least: Int, _ most: Int) {
      let sizeClass = SizeClass(holding: size)
      use(size, bytes)
      let kept = depots.blockCount(sizeClass) * size
      context.require(
        kept <= most && kept > least - sizeClass.batch * size, "class \(size): \(kept) bytes are kept, not \(least) to \(most)")
      // Full ones, as a bin that overflows sends them.
      let isFull = depots.blockCount(sizeClass) % sizeClass.batch == 0
      context.require(isFull, "class \(size): magazines are not full")
      // What lies here is had before what is home.
      let taken = slabs.takenCount(sizeClass)
      let again = (0..<min(kept / size, 4 * sizeClass.batch)).compactMap { _ in heap.allocate(size) }
      context.require(slabs.takenCount(sizeClass) == taken, "class \(size): blocks are taken from home while others are here")
      again.forEach { heap.free($0) }
    }
    for sizeClass in SizeClass.all {
      let own = max(switches.depot, 2 * sizeClass.batch * sizeClass.size)
      context.require(depots.limit(sizeClass) == own, "class \(sizeClass.size) may keep \(depots.limit(sizeClass)) bytes, not \(own)")
    }
    for size in [48, 64, 1024, 2048, 16 << 10, 112 << 10, 128 << 10, 1 << 20] {
      let (own, other) = (max(switches.depot, 2 * SizeClass(holding: size).batch * size), size == 2048 ? 4096 : 2048)
      allowMost(size)
      allowMost(other)
      heap.trim()
      context.require(depots.surplusBytes == 0, "\(depots.surplusBytes) bytes too many are counted in empty stacks")
      keep(size, outOf: 12 << 20, 10 << 20, 12 << 20)
      keep(size, outOf: 48 << 20, own + switches.surplus, own + switches.surplus)
      // What one class has is not there for another.
      keep(other, outOf: 4 << 20, 1 << 20, switches.depot + SizeClass(holding: size).batch * size)
      context.require(depots.surplusBytes <= switches.surplus, "\(depots.surplusBytes) bytes are kept above the limits")
    }
    heap.trim()
  }

  static let idleDepots = Check("idle-depots", "the global stacks: what a class has not needed since the last look goes home, and the rest stays") { context in
    let layers = OwnLayers(mebibytes: 8)
    let (depots, sizeClass) = (layers.depots, SizeClass(holding: 16 << 10))
    func put(_ magazines: Int, _ layers: OwnLayers = layers) {
      for _ in 0..<magazines { context.require(layers.putMagazine(sizeClass), "no magazine") }
    }
    func use(_ magazines: Int) {
      let taken = (0..<magazines).compactMap { _ in depots.take(sizeClass) }
      taken.forEach { depots.put($0, sizeClass) }
    }
    func look(_ expected: Int, _ when: String) {
      context.require(depots.drainIdle(sizeClass, since: 0, into: layers.slabs) == nil, "a block is said to be freed twice")
      let kept = depots.blockCount(sizeClass)
      context.require(kept == expected * sizeClass.batch, "\(when): \(kept) blocks are kept, not \(expected) magazines")
      context.require(layers.slabs.takenCount(sizeClass) == kept, "\(when): what is not home, and not there?")
      context.count(1)
    }
    put(5)
    look(5, "just come")
    use(2)
    look(2, "two of five were used")
    use(1)
    put(1)
    look(2, "one of two was used, and one came")
    look(0, "none was used")
    put(1)
    look(1, "one came")
    put(4)
    look(4, "four came, and the one was not used")
    use(3)
    use(1)
    look(3, "three of four were used, and one again")
    // Of the largest class a magazine holds one block.
    let (largest, single) = (SizeClass(holding: SizeClass.largest), OwnLayers(mebibytes: 8))
    guard let magazine = single.depots.takeEmpty() else { return context.find("no magazine") }
    let block = single.blocks(largest, 1)
    magazine.hold(1) { single.tag(block[$0]) }
    single.depots.put(magazine, largest)
    for _ in 0..<2 { _ = single.depots.drainIdle(largest, since: 0, into: single.slabs) }
    context.require(single.depots.blockCount(largest) == 0, "a single block that nobody used is kept")
    // What another class has above its limit takes nothing from what this one may have.
    let crowded = OwnLayers(mebibytes: 8, depotBytes: 0)
    put(3, crowded)
    context.require(crowded.depots.surplusBytes > 0 && !crowded.depots.hasRoom(1, sizeClass), "there is room above the limit")
    context.require(crowded.depots.hasRoom(1, SizeClass(holding: 64)), "a class has no room below its limit")
    use(1)
    look(1, "all were used")
  }

  static let metadata = Check("metadata", "records: pieces are apart and zero, and come from mappings of 256 KiB or of their own") { context in
    let state = UnsafeMutableRawPointer.allocate(byteCount: 64, alignment: 64)
    defer { state.deallocate() }
    state.initializeMemory(as: UInt8.self, repeating: 0, count: 64)
    let memory = MetadataMemory<HardwareMemory>(state: state)
    let calls = PoolAllocator.systemCallCount
    for number in 1...20_000 {
      guard let piece = memory.take(number % 2 == 0 ? 64 : 50) else { return context.find("memory is out") }
      for word in 0..<8 where piece.load(fromByteOffset: word * 8, as: Int.self) != 0 {
        return context.find("piece \(number) is not zero")
      }
      piece.initializeMemory(as: Int.self, repeating: number, count: 8)
      let due = (number * 64 - 1) / (256 << 10) + 1
      guard PoolAllocator.systemCallCount == calls + due else { return context.find("\(number) pieces of 64 bytes take other than \(due) mappings") }
    }
    let mapped = PoolAllocator.systemCallCount
    context.require(memory.take(1 << 20) != nil && PoolAllocator.systemCallCount == mapped + 1, "no piece of 1 MiB")
    context.count(20_000)
  }

  static let magazines = Check("magazines", "magazines are used again however often they go round") { context in
    let pool = PoolAllocator()
    var before = 0
    for round in 0..<2000 {
      for _ in 0..<2 {
        let blocks = (0..<8).compactMap { _ in pool.allocateIfPossible(size: 128 << 10) }
        blocks.forEach { pool.deallocate($0) }
      }
      pool.trim()
      if round == 100 { before = ProcessMemory.mapped }
    }
    let growth = ProcessMemory.mapped - before
    context.require(growth < 1 << 20, "\(growth >> 10) KiB of address space are lost in magazines")
    context.count(2000)
  }

  static let topOrder = Check("top-order", "blocks of 512 MiB side by side: freed, merged no further, and had again") { context in
    let made = OwnHeap.with(OwnHeap.switches(region: 2 << 30)) { heap in
      for _ in 0..<3 {
        let blocks = (0..<4).compactMap { _ in heap.allocate(512 << 20) }
        context.require(blocks.count == 4, "\(blocks.count) of 4 blocks")
        blocks.forEach(heap.free)
        heap.trim()
        context.require(heap.checkInvariants(), "the heap's records do not agree")
        context.count(4)
      }
    }
    // The four units behind eight have no buddy: where its record would be is that of the eight.
    let uneven = OwnHeap.with(OwnHeap.switches(region: 12 << 20)) { heap in
      for _ in 0..<2 {
        let blocks = [8 << 20, 4 << 20].compactMap { heap.allocate($0) }
        context.require(blocks.count == 2 && blocks[1] == blocks[0] + 8 << 20, "12 MiB are not had as 8 and 4")
        // One by one, so that the eight are listed when the four are merged.
        for block in blocks {
          heap.free(block)
          heap.trim()
        }
        context.require(heap.checkInvariants(), "the records of 12 MiB do not agree")
        context.count(2)
      }
    }
    context.require(made && uneven, "no heap")
  }

  static let purge = Check(
    "purge", "slabs of units that are still in use: their pages are given back, also when the system refused at first"
  ) { context in
    let pool = PoolAllocator()
    pool.trim()
    let before = ProcessMemory.resident
    var blocks = (0..<(64 << 20) / 4096).compactMap { _ in pool.allocateIfPossible(size: 4096) }
    for block in blocks { memset(block, 1, 4096) }
    // One stays in each unit of 256.
    let kept = stride(from: 0, to: blocks.count, by: 256).map { blocks[$0] }
    for (number, block) in blocks.enumerated() where number % 256 != 0 { pool.deallocate(block) }
    blocks = []
    PoolAllocator.injectSystemFault(call: 1, onwards: true)
    pool.trim()
    PoolAllocator.liftSystemFaults()
    pool.trim()
    let resident = ProcessMemory.resident - before
    context.require(resident < 24 << 20, "\(resident >> 20) MiB of 64 stay resident")
    kept.forEach { pool.deallocate($0) }
    context.count(64)
  }

  static let idleCaches = Check(
    "idle-caches", "blocks that only go to and fro in a cache: what has been free for long meanwhile is given back"
  ) { context in
    let pool = PoolAllocator()
    pool.trim()
    let blocks = (0..<(64 << 20) / 4096).compactMap { _ in pool.allocateIfPossible(size: 4096) }
    for block in blocks { memset(block, 1, 4096) }
    for block in blocks { pool.deallocate(block) }
    let full = ProcessMemory.resident
    var kept = full
    // A second's delay is the usual one.
    for _ in 0..<500 where kept > full - 48 << 20 {
      usleep(20_000)
      for _ in 0..<2048 { pool.deallocate(pool.allocateIfPossible(size: 64)) }
      kept = ProcessMemory.resident
    }
    context.require(kept <= full - 48 << 20, "of 64 MiB freed, \((full - kept) >> 20) are given back")
    context.count(64)
  }

  static let idleBins = Check("idle-bins", "a thread's bins: what it has not allocated from since the last look goes home, and the rest stays") { context in
    let made = OwnHeap.with(OwnHeap.switches(region: 16 << 20)) { heap in
      guard let cache = heap.adoptCache() else { return context.find("no cache") }
      untouched(heap, cache, context)
      let classes = [64, 40 << 10].map(SizeClass.init(holding:))
      let bins = classes.map(cache.bin)
      func fill() {
        for (sizeClass, bin) in zip(classes, bins) where bin.count == 0 { heap.fill(bin, sizeClass.size == 64 ? 5 : 1, sizeClass) }
      }
      func look(_ expected: [UInt], _ when: String) {
        heap.sendIdleHome(cache, since: 0)
        context.require(bins.map(\.count) == expected, "\(when): \(bins.map(\.count)) blocks stay in the bins")
        context.count(1)
      }
      fill()
      look([0, 0], "none was ever used")
      for (used, expected) in [(0, [5, 0]), (1, [0, 1])] as [(Int, [UInt])] {
        fill()
        _ = bins[used].popUnsampled()
        bins[used].count += 1
        look(expected, "bin \(used) was used")
      }
      look([0, 0], "none was used")
      spare(heap, cache, "a trim", context) { heap.trim() }
      spare(heap, cache, "its end", context) { heap.detach(cache) }
    }
    context.require(made, "no heap")
    // Nobody asks for it: a thread that goes on with one class looks at the others.
    let pool = PoolAllocator()
    guard let bin = ProcessHeap.shared?.cacheOfThread()?.bin(SizeClass(holding: 4096)) else { return context.find("no heap") }
    pool.deallocate(pool.allocateIfPossible(size: 4096))
    context.require(bin.count > 0, "a block that was freed is in no bin")
    for _ in 0..<500 where bin.count > 0 {
      usleep(20_000)
      for _ in 0..<2048 { pool.deallocate(pool.allocateIfPossible(size: 64)) }
    }
    context.require(bin.count == 0, "what is not used stays in its bin")
  }

  // Of a fresh cache: slots that never had a block are not touched to find none.
  private static func untouched(_ heap: Heap<HardwareMemory>, _ cache: ThreadCache<HardwareMemory>, _ context: CheckContext) {
    func touched() -> Int { ResidentPages(cache.address, ThreadCache<HardwareMemory>.bytes).present }
    let before = touched()
    heap.sendIdleHome(cache, since: 0)
    context.require(touched() == before, "a look at bins that have nothing touches \(touched() - before) pages of their slots")
    heap.trim()
    context.require(touched() == before, "a trim of bins that have nothing touches \(touched() - before) pages of their slots")
  }

  // The magazine that a thread keeps empty is for others from then on.
  private static func spare(
    _ heap: Heap<HardwareMemory>, _ cache: ThreadCache<HardwareMemory>, _ name: String, _ context: CheckContext, _ givesUp: () -> Void
  ) {
    guard let magazine = heap.depots.takeEmpty() else { return context.find("no magazine") }
    cache.discard(magazine, to: heap.depots)
    givesUp()
    context.require(heap.depots.takeEmpty()?.address == magazine.address, "\(name) leaves a thread's empty magazine where it was")
  }

  static let poolCap = Check("pool-cap", "more free pages than may stay dirty: given back down to the cap, and no further") { context in
    let made = OwnHeap.with(OwnHeap.switches(region: 64 << 20) { $0.retain = 2 << 20 }) { heap in
      // Two slabs of eight pages to a unit, a block to a page; one of the two stays, and keeps the unit.
      let size = RegionLayout.pageBytes
      let blocks = (0..<(16 * 16)).compactMap { _ in heap.allocate(size) }.sorted()
      guard blocks.count == 256 else { return context.find("no memory") }
      for block in blocks { memset(block, 0xA5, size) }
      var freed: [UnsafeMutableRawPointer] = []
      for unit in 0..<16 {
        for block in blocks[(16 * unit)..<(16 * unit + 8)] {
          heap.free(block)
          freed.append(block)
        }
        let dirty = freed.filter { $0.load(as: UInt8.self) == 0xA5 }.count
        context.require(dirty < 48 && dirty >= min(32, freed.count), "\(dirty) of \(freed.count) free pages are dirty, 47 may be")
        context.count(8)
      }
      heap.trim()
      context.require(freed.allSatisfy { $0.load(as: UInt8.self) == 0 }, "pages stay dirty after all were purged")
      for unit in 0..<16 { blocks[(16 * unit + 8)..<(16 * unit + 16)].forEach(heap.free) }
      context.require(heap.checkInvariants() && heap.pool.heldBytes == 0, "the heap's records do not agree")
    }
    // What the system refuses to take is kept, over the cap: a sweep still comes to an end.
    let refused = OwnHeap.with(OwnHeap.switches(region: 16 << 20) { $0.retain = 1 << 20 }) { heap in
      let size = RegionLayout.pageBytes
      let blocks = (0..<(8 * 16)).compactMap { _ in heap.allocate(size) }.sorted()
      guard blocks.count == 128 else { return context.find("no memory") }
      for block in blocks { memset(block, 0xA5, size) }
      func half(_ second: Bool) -> [UnsafeMutableRawPointer] {
        blocks.enumerated().filter { ($0.offset % 16 >= 8) == second }.map(\.element)
      }
      PoolAllocator.injectSystemFault(call: 1, onwards: true)
      half(false).forEach(heap.free)
      PoolAllocator.liftSystemFaults()
      let dirty = half(false).filter { $0.load(as: UInt8.self) == 0xA5 }.count
      context.require(dirty == 64, "\(dirty) of 64 free pages are dirty, though nothing was taken")
      half(true).forEach(heap.free)
      heap.trim()
      context.require(heap.checkInvariants() && heap.pool.heldBytes == 0, "the heap's records do not agree after refusals")
    }
    context.require(refused, "no heap")
    // Of a unit's pages only the first is free.
    let first = OwnHeap.with(OwnHeap.switches(region: 4 << 20)) { heap in
      let blocks = (0..<16).compactMap { _ in heap.allocate(8 << 10) }.sorted()
      for block in blocks { memset(block, 0xA5, 8 << 10) }
      blocks.prefix(8).forEach(heap.free)
      heap.trim()
      context.require(blocks[0].load(as: UInt8.self) == 0, "a unit's first page stays dirty")
      blocks.dropFirst(8).forEach(heap.free)
    }
    context.require(made && first, "no heap")
  }

  static let addressSpace = Check("address-space", "mappings of large alignments come and go, and leave none behind") { context in
    let pool = PoolAllocator()
    // The region is reserved by the first call.
    pool.deallocate(pool.allocateIfPossible(size: 1))
    let before = ProcessMemory.mapped
    for exponent in 17...22 {
      let blocks = (0..<100).compactMap { _ in pool.allocateIfPossible(size: 5000, alignment: 1 << exponent) }
      context.require(blocks.count == 100, "memory is out")
      blocks.forEach { pool.deallocate($0) }
      context.count(blocks.count)
    }
    let growth = ProcessMemory.mapped - before
    context.require(growth < 4 << 20, "\(growth >> 10) KiB of address space are lost")
  }
}
