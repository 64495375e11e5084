import Ashlar

/// What is gone through from end to end has a first and a last, which nothing else may ever come to.
extension Check {
  static let ends = Check("ends", "the first and the last of all that is gone through: classes, orders, guard pages, addresses given back") {
    context in
    for index in [0, SizeClass.count - 1] { sizeClass(SizeClass(index: index), context) }
    context.require(SizeClass(holding: 0).index == 0 && SizeClass(holding: 1).index == 0 && SizeClass(holding: 17).index == 1, "the classes of 0, 1 and 17 bytes")
    firstOrder(context)
    let made = OwnHeap.with(OwnHeap.switches(region: 8 << 20)) { heap in
      addresses(heap, context)
      guardPages(heap, context)
      fullSlabs(heap, context)
      neighbours(heap, context)
    }
    context.require(made, "no heap")
  }

  // A class whose slabs are all full has none in its list, and what comes into that has no neighbour: the descriptor before the
  // first page's would be where the last blocks have their tags.
  private static func fullSlabs(_ heap: Heap<HardwareMemory>, _ context: CheckContext) {
    let sizeClass = SizeClass(holding: 64 << 10)
    let blocks = (0...sizeClass.slabBlocks).compactMap { _ in heap.allocate(sizeClass.size) }
    context.require(blocks.count == sizeClass.slabBlocks + 1, "no memory for \(blocks.count) blocks")
    let last = heap.region.base + UInt(heap.region.bytes)
    let tags = stride(from: last - 64 << 10, to: last, by: 16).map { heap.region.tag(at: $0).value }
    context.require(tags.allSatisfy { $0 == 0 }, "the last page, which nobody has, has tags")
    blocks.forEach { heap.free($0) }
    context.count(1)
  }

  // A slab of the smallest blocks fills its page's bitmap to the end, where the next page's begins.
  private static func neighbours(_ heap: Heap<HardwareMemory>, _ context: CheckContext) {
    guard let first = heap.allocate(1024), let second = heap.allocate(2048) else { return context.find("no memory") }
    heap.free(first)
    guard let smallest = heap.allocate(16) else { return context.find("no memory") }
    context.require(smallest == first && second == first + RegionLayout.pageBytes, "the slabs are no neighbours")
    context.require(heap.checkInvariants(), "a slab of 16 B changes the records of its neighbour")
    heap.free(smallest)
    heap.free(second)
    context.count(1)
  }

  private static func sizeClass(_ sizeClass: SizeClass, _ context: CheckContext) {
    let pool = PoolAllocator()
    let size = sizeClass.size
    guard let heap = ProcessHeap.shared, let cache = heap.cacheOfThread() else { return context.find("no heap") }
    pool.trim()
    let (taken, live) = (heap.slabs.takenCount(sizeClass), pool.statistics().small.liveBlocks)
    let blocks = (0..<(3 * max(sizeClass.batch, 8))).compactMap { _ in pool.allocateIfPossible(size: size) }
    context.require(pool.statistics().small.liveBlocks == live + blocks.count, "live blocks of \(size) are not counted")
    let said = StandardError.captured { heap.printStatistics() }
    context.require(said.contains("ashlar: class \(size == 16 ? "16 B" : "1 MiB"): "), "nothing is said of blocks of \(size)")
    blocks.forEach { pool.deallocate($0) }
    pool.trim()
    context.require(heap.slabs.takenCount(sizeClass) == taken, "a trim leaves blocks of \(size) away from home")
    Threads.run(1) { _ in pool.deallocate(pool.allocateIfPossible(size: size)) }
    pool.trim()
    context.require(heap.slabs.takenCount(sizeClass) == taken, "a thread's end leaves blocks of \(size) away from home")
    context.require(cache.bin(sizeClass).isOpen, "the hot path is closed for \(size)")
    PoolAllocator.isTracking = true
    context.require(!cache.bin(sizeClass).isOpen, "the hot path is open for \(size) while blocks are tracked")
    PoolAllocator.isTracking = false
    context.require(cache.bin(sizeClass).isOpen, "the hot path stays closed for \(size)")
    withGuards(.init(canaries: 3)) {
      let blocks = (0..<100).compactMap { _ in pool.allocateIfPossible(size: size) }
      let guarded = blocks.filter { heap.guarded.record(of: UserPointer($0)) != nil }.count
      context.require((10...70).contains(guarded), "of \(blocks.count) blocks of \(size), one in 3 guarded, \(guarded) are")
      blocks.forEach { pool.deallocate($0) }
    }
    context.count(1)
  }

  // What has grown to a quarter of a unit has one of its own.
  private static func firstOrder(_ context: CheckContext) {
    let pool = PoolAllocator()
    guard ProcessHeap.shared?.switches.strict == false else { return }
    let (all, first) = (pool.statistics().medium.liveBlocks, pool.statistics(ofOrder: 0).liveBlocks)
    guard let small = pool.allocateIfPossible(size: 200_000), let block = try? pool.reallocate(small, size: 300_000) else {
      return context.find("no memory")
    }
    context.require(pool.usableSize(of: block) == 1 << 20 && pool.statistics(ofOrder: 0).liveBlocks == first + 1, "no block of order 0")
    context.require(pool.statistics().medium.liveBlocks == all + 1, "a block of order 0 is not counted with the others")
    let faults = FaultRecorder.record { pool.deallocate(block + 4096) }
    context.require(faults.map(\.state) == ["inside a block"] && faults.map(\.blockSize) == [1 << 20], "inside a block of order 0: \(faults)")
    pool.deallocate(block)
    context.count(1)
  }

  // The last 128 are known.
  private static func addresses(_ heap: Heap<HardwareMemory>, _ context: CheckContext) {
    let blocks = (0..<129).compactMap { _ in heap.allocate(Request(size: 1, alignment: 1 << 17), site: .unknown) }
    guard blocks.count == 129 else { return context.find("no memory") }
    for block in blocks.prefix(128) { heap.free(block) }
    for block in blocks.prefix(128) where !heap.direct.wasReleased(BlockBase(block)) { context.find("one of 128 addresses given back is forgotten") }
    heap.free(blocks[128])
    let known = [0, 1, 127, 128].map { heap.direct.wasReleased(BlockBase(blocks[$0])) }
    context.require(known == [false, true, true, true], "of 129 addresses given back there are known: \(known)")
    context.count(129)
  }

  private static func guardPages(_ heap: Heap<HardwareMemory>, _ context: CheckContext) {
    heap.setGuards(canaries: 0, pages: 1)
    let blocks = (0..<256).compactMap { _ in heap.allocate(32) }
    let damaged = [blocks.first, blocks.last].compactMap(\.self)
    for block in damaged { UnwatchedMemory.invert(block - 1) }
    let faults = FaultRecorder.record { _ = heap.checkInvariants() }
    let addresses = Set(faults.filter { $0.kind == "underflow" }.map(\.address))
    context.require(addresses == Set(damaged.map { UInt(bitPattern: $0) }), "damage before the first page and the last: \(faults)")
    blocks.forEach(heap.free)
    context.require(heap.pages.live.blocks == 0, "blocks are left before pages")
    heap.setGuards(canaries: 0, pages: 0)
    context.count(256)
  }
}
