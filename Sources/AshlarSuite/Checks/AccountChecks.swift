import Ashlar

extension Check {
  static let statistics = Check("statistics", "the counters of each level and class against what was done") { context in
    let pool = PoolAllocator()
    for (index, size) in PoolAllocator.sizeClasses.enumerated() {
      let before = pool.statistics(ofSizeClass: index)
      let blocks = (0..<200).compactMap { _ in pool.allocateIfPossible(size: size) }
      for block in blocks.prefix(150) { pool.deallocate(block) }
      let after = pool.statistics(ofSizeClass: index)
      context.require(after.allocations == before.allocations + 200, "class \(size): allocations are miscounted")
      context.require(after.frees == before.frees + 150, "class \(size): frees are miscounted")
      context.require(after.liveBytes == before.liveBytes + 50 * size, "class \(size): live bytes are miscounted")
      for block in blocks.dropFirst(150) { pool.deallocate(block) }
      context.require(pool.statistics(ofSizeClass: index).liveBlocks == before.liveBlocks, "class \(size): blocks are left")
      context.count(200)
    }
    for size in [16, 1 << 20] {
      let live = pool.statistics().small.liveBytes
      let block = pool.allocateIfPossible(size: size)
      context.require(pool.statistics().small.liveBytes == live + size, "a class is no part of the level")
      pool.deallocate(block)
    }
    let before = pool.statistics()
    let blocks = [2 << 20, 600 << 20, 1100 << 20].compactMap { pool.allocateIfPossible(size: $0) }
    let after = pool.statistics()
    context.require(pool.statistics(ofOrder: 1).liveBytes == 2 << 20, "blocks of 2 MiB are miscounted")
    context.require(after.medium.liveBytes == before.medium.liveBytes + 2 << 20, "medium bytes are miscounted")
    context.require(after.large.liveBlocks == before.large.liveBlocks + 1, "large blocks are miscounted")
    context.require(after.huge.liveBlocks == before.huge.liveBlocks + 1, "huge blocks are miscounted")
    context.require(after.huge.liveBytes == before.huge.liveBytes + 1100 << 20, "huge bytes are miscounted")
    func made(_ all: Statistics) -> [Int] { [all.medium, all.large, all.huge].map(\.allocations) }
    context.require(zip(made(after), made(before)).allSatisfy { $0 == $1 + 1 }, "allocations above 1 MiB are miscounted")
    let classes = PoolAllocator.sizeClasses.indices.map { pool.statistics(ofSizeClass: $0).allocations }
    context.require(classes.reduce(0, +) <= after.small.allocations, "small allocations are not those of all classes")
    blocks.forEach { pool.deallocate($0) }
    let freed = pool.statistics()
    context.require(freed.medium.frees == after.medium.frees + 1 && freed.large.frees == after.large.frees + 1, "frees are miscounted")
    context.require(pool.statistics().total.liveBlocks == before.total.liveBlocks, "blocks are left over")
  }

  static let freeMemory = Check("free-memory", "where free memory waits: blocks in caches, stacks and slabs, pages and units") { context in
    let made = OwnHeap.with(OwnHeap.switches(region: 32 << 20)) { heap in
      guard let cache = heap.adoptCache() else { return context.find("no cache") }
      // Sixteen blocks to a page, and as many to a bin.
      let (size, sizeClass) = (4096, SizeClass(holding: 4096))
      func expect(blocks: [Int] = [0, 0, 0], pages: Int = 0, units: Int = 0, _ when: String) {
        let found = heap.freeMemory()
        let figures = [found.caches, found.stacks, found.slabs, found.pages, found.units]
        let expected = blocks.map { $0 * size } + [pages * RegionLayout.pageBytes, units << 20]
        context.require(figures == expected && found.total == expected.reduce(0, +), "\(when): \(found), not \(expected)")
        context.count(1)
      }
      expect("at first")
      let blocks = (0..<100).compactMap { _ in heap.allocate(size) }.sorted()
      guard blocks.count == 100 else { return context.find("no memory") }
      expect(blocks: [12, 0, 0], "a hundred blocks, of seven pages")
      // Every second one: four fill the bin, eight leave it for the stack, which may keep as many, then sixteen and thirty-two for home.
      for index in stride(from: 0, to: 100, by: 2) { heap.free(blocks[index]) }
      expect(blocks: [6, 8, 48], "half of them freed")
      for index in stride(from: 1, to: 99, by: 2) { heap.free(blocks[index]) }
      heap.detach(cache)
      _ = heap.depots.drain(sizeClass, into: heap.slabs)
      expect(blocks: [0, 0, 15], pages: 6, "all but one of them freed, and home")
      heap.free(blocks[99])
      expect(units: 1, "all of them freed")
      heap.trim()
      expect("all given back")
      let medium = [3 << 20, 2 << 20].compactMap { heap.allocate($0) }
      expect("two medium blocks")
      medium.forEach(heap.free)
      expect(units: 6, "both freed")
      heap.trim()
      expect("both given back")
    }
    context.require(made, "no heap")
  }

  static let tracker = Check("tracker", "recording switched on and off while threads allocate; every live block known") {
    context in
    let pool = PoolAllocator()
    Threads.run(4) { thread in
      var generator = context.generator(thread)
      var oracle = Oracle(SwiftSubject(), seed: generator.next())
      for round in 0..<20_000 {
        if thread == 0, round % 500 == 0 { PoolAllocator.isTracking.toggle() }
        if oracle.live.count < 50 { oracle.allocate(size: generator.logarithmic(in: 1...4096)) } else { oracle.free(round % 50) }
      }
      context.close(&oracle)
      context.count(20_000)
    }
    PoolAllocator.isTracking = true
    let known = PoolAllocator.trackedBlocks
    let blocks = [8, 2 << 20, 600 << 20].compactMap { pool.allocateIfPossible(size: $0) }
    context.require(PoolAllocator.trackedBlocks == known + 3, "live blocks are not known")
    PoolAllocator.isTracking = true
    context.require(PoolAllocator.trackedBlocks == known + 3, "blocks are forgotten when what is on is switched on")
    blocks.forEach { pool.deallocate($0) }
    context.require(PoolAllocator.trackedBlocks == known, "freed blocks are still known")
    for guards: PoolAllocator.Guards in [.init(canaries: 1), .init(pages: 1)] {
      withGuards(guards) {
        let block = pool.allocateIfPossible(size: 8)
        context.require(PoolAllocator.trackedBlocks == known + 1, "a guarded block is not known")
        pool.deallocate(block)
        context.require(PoolAllocator.trackedBlocks == known, "a freed guarded block is still known")
      }
    }
    // More threads than there ever were: caches that are made while the hot path is closed.
    let (meeting, held) = (Rendezvous(parties: 20), Guarded<[UInt]>([]))
    Threads.run(20) { _ in
      let blocks = (0..<3).compactMap { _ in pool.allocateIfPossible(size: 8).map { UInt(bitPattern: $0) } }
      held.withLock { $0 += blocks }
      meeting.meet()
    }
    let more = held.withLock { $0 }
    context.require(PoolAllocator.trackedBlocks == known + more.count, "blocks of new threads are not known")
    more.forEach { pool.deallocate(UnsafeMutableRawPointer(bitPattern: $0)) }
    let last = pool.allocateIfPossible(size: 8)
    PoolAllocator.isTracking = false
    context.require(PoolAllocator.trackedBlocks == 0, "what is switched off still knows blocks")
    pool.deallocate(last)
  }

  static let systemCalls = Check("system-calls", "at most 20 for 100,000 mixed allocations of 16 to 1024 B after warm-up") {
    context in
    var generator = context.generator()
    let calls = systemCalls(100_000, of: 16...1024, live: 4096, warmUp: 100_000, context, &generator)
    context.note("\(calls) calls")
    context.require(calls <= 20, "\(calls) system calls")
  }

  static let systemCallsMedium = Check(
    "system-calls-medium", "at most 20 for 10,000 blocks of 64 KiB to 1 MiB, and of 1 to 8 MiB, that come and go"
  ) { context in
    var generator = context.generator()
    for sizes in [(64 << 10)...(1 << 20), ((1 << 20) + 1)...(8 << 20)] {
      let calls = systemCalls(10_000, of: sizes, live: 8, warmUp: 1000, context, &generator)
      context.require(calls <= 20, "\(calls) system calls")
    }
  }

  /// The system calls of `count` blocks that come and go at random, `live` of them at a time, after a warm-up of the same.
  private static func systemCalls(
    _ count: Int, of sizes: ClosedRange<Int>, live: Int, warmUp: Int, _ context: CheckContext, _ generator: inout SeededGenerator
  ) -> Int {
    let pool = PoolAllocator()
    // What others left free would be given back meanwhile, when it has aged.
    pool.trim()
    var slots = [UnsafeMutableRawPointer?](repeating: nil, count: live)
    func work(_ count: Int) {
      for _ in 0..<count {
        let slot = Int.random(in: 0..<live, using: &generator)
        pool.deallocate(slots[slot])
        slots[slot] = pool.allocateIfPossible(size: Int.random(in: sizes, using: &generator))
      }
    }
    work(warmUp)
    let before = PoolAllocator.systemCallCount
    work(count)
    let calls = PoolAllocator.systemCallCount - before
    slots.forEach { pool.deallocate($0) }
    context.count(warmUp + count)
    return calls
  }

  static let memoryReturn = Check("memory-return", "1 GiB in small blocks, freed, trimmed: under 64 MiB stay resident") {
    context in
    let pool = PoolAllocator()
    pool.trim()
    let bytes = 1 << 30
    guard ProcessMemory.available > 2 * bytes else { return context.note("left out: too little memory") }
    let before = ProcessMemory.resident
    let blockSize = 256
    let blocks = UnsafeMutableBufferPointer<UnsafeMutableRawPointer?>.allocate(capacity: bytes / blockSize)
    defer { blocks.deallocate() }
    for index in blocks.indices {
      blocks[index] = pool.allocateIfPossible(size: blockSize)
      blocks[index]?.storeBytes(of: index, as: Int.self)
    }
    let full = ProcessMemory.resident
    for index in blocks.indices { pool.deallocate(blocks[index]) }
    pool.trim()
    // The list of the blocks is ours, not the allocator's.
    let kept = ProcessMemory.resident - before - blocks.count * 8
    context.count(blocks.count)
    context.note("\((full - before) >> 20) MiB at most, \(max(0, kept) >> 20) MiB kept")
    context.require(kept < 64 << 20, "\(kept >> 20) MiB stay resident")
  }

  static let leaks = Check("leaks", "nothing is live at the end, and every record of the heap agrees") { context in
    let pool = PoolAllocator()
    let live = pool.statistics().total
    context.count(live.allocations)
    context.require(live.liveBlocks == 0, "\(live.liveBlocks) blocks of \(live.liveBytes) bytes are live")
    context.require(pool.checkInvariants(), "the heap's records do not agree")
    pool.trim()
    context.require(pool.checkInvariants(), "the heap's records do not agree after trim")
  }
}
