import Ashlar
import Glibc

/// Which way blocks take: one that costs more and ends in the same place is found here, and nowhere else.
extension Check {
  static let hotPath = Check("hot-path", "calls that the hot path can answer are answered by it, and no others") { context in
    let pool = PoolAllocator()
    guard PoolAllocator.guards == .init(), !PoolAllocator.isTracking, let cache = ProcessHeap.shared?.cacheOfThread() else {
      return context.note("left out: no call takes the hot path")
    }
    if ProcessHeap.shared?.switches.cachePercent == 100 {
      for sizeClass in [SizeClass(index: 0), SizeClass(holding: 100_000)] {
        let capacity = cache.bin(sizeClass).capacity
        context.require(capacity == 2 * sizeClass.batch, "a bin of \(sizeClass.size) B has room for \(capacity) blocks, not two magazines")
      }
    }
    for size in [1, 64, 1000, 1024] {
      guard let block = pool.allocateIfPossible(size: size) else { return context.find("no memory") }
      HotPath<HardwareMemory>.free(block) { context.find("\(size) bytes are not freed on the hot path") }
      let again = HotPath<HardwareMemory>.allocate(
        UInt(size), larger: { nil }, otherwise: { context.find("\(size) bytes are not allocated on the hot path"); return nil }, live: { _ in nil })
      context.require(again == block, "another block than the one freed last")
      pool.deallocate(block)
    }
    beyondTheLast(context)
    // Another thread's change of guards reaches this one's cache with its first call that leaves the hot path.
    let calls: [(String, isHot: Bool, () -> UnsafeMutableRawPointer?)] = [
      ("malloc(64)", true, { ashlarMalloc(64) }), ("malloc(1024)", true, { ashlarMalloc(1024) }), ("malloc(5000)", true, { ashlarMalloc(5000) }),
      ("malloc(1 MiB)", true, { ashlarMalloc(1 << 20) }), ("calloc(8, 8)", true, { ashlarCalloc(8, 8) }),
      ("calloc(5, 1000)", false, { ashlarCalloc(5, 1000) }), ("64 bytes", true, { pool.allocateIfPossible(size: 64) }),
      ("64 bytes aligned to 1", true, { pool.allocateIfPossible(size: 64, alignment: 1) }),
      ("64 bytes aligned to 8", true, { pool.allocateIfPossible(size: 64, alignment: 8) }),
      ("5000 bytes", true, { pool.allocateIfPossible(size: 5000) }), ("64 zeroes", false, { pool.allocateIfPossible(size: 64, zeroed: true) }),
      ("64 bytes aligned to 32", false, { pool.allocateIfPossible(size: 64, alignment: 32) }),
    ]
    for (name, isHot, call) in calls {
      // So that there is a block in its bin.
      ashlarFree(call())
      let interval = 1_000_000 + cache.armedInterval % 2
      Threads.run(1) { _ in PoolAllocator.guards = .init(canaries: Int(interval)) }
      let block = call()
      context.require((cache.armedInterval != interval) == isHot, "\(name): taken by the \(isHot ? "slow" : "hot") path")
      ashlarFree(block)
      Threads.run(1) { _ in PoolAllocator.guards = .init() }
      ashlarFree(ashlarCalloc(5, 1000))
      context.count(1)
    }
    PoolAllocator.guards = .init()
  }

  static let merging = Check("merging", "freed medium blocks: which wait in the queue, when it is emptied, by whom") { context in
    let layers = OwnLayers(mebibytes: 16, queueCapacity: 4)
    let (buddy, tables) = (layers.buddy, layers.buddy.tables)
    let blocks = (0..<16).compactMap { _ in buddy.allocate(order: 0) }.sorted { $0.index < $1.index }
    guard blocks.count == 16 else { return context.find("no memory") }
    func expect(_ expected: [Int], worker: UInt = 0, _ when: String) {
      var listed: [Int] = []
      buddy.visitListed { order, index in listed.append(order == 0 ? index : -1) }
      context.require(listed.sorted() == expected, "\(when): units \(listed) are listed, not \(expected)")
      let active = HardwareMemory.load(tables.workerActive)
      context.require(active == worker, "\(when): the word of the worker is \(active)")
      context.count(1)
    }
    // What was never written stays clean on its way through the hot slot and the queue.
    for index in [0, 2, 4] { buddy.release(.init(order: 0, index: index, isDirty: false)) }
    let again = (0..<3).compactMap { _ in buddy.allocate(order: 0) }
    context.require(Set(again.map(\.index)) == [0, 2, 4] && !again.contains { $0.isDirty }, "clean blocks come back as \(again)")
    context.require(buddy.dirtyUnits == 0, "\(buddy.dirtyUnits) units are dirty though none was written")
    // Every second one stays, so that none is merged with its buddy.
    buddy.release(blocks[0])
    expect([], "one in the hot slot")
    buddy.release(blocks[2])
    expect([], "one in the queue")
    buddy.release(blocks[4])
    expect([0, 2], "half a queueful")
    buddy.release(blocks[6])
    context.require(buddy.allocate(order: 0)?.index == 6, "another block than the hot one")
    expect([0, 2], "the hot one taken")
    context.require(buddy.allocate(order: 0)?.index == 4, "another block than the one that waited")
    expect([0, 2], "one taken that waited")
    buddy.becomeWorker()
    expect([0, 2], worker: 1, "while another thread merges")
    for index in [8, 10, 12] { buddy.release(blocks[index]) }
    expect([0, 2], worker: 1, "half a queueful, while another thread merges")
    context.require(buddy.allocate(order: 0)?.index == 12 && buddy.allocate(order: 0)?.index == 2, "other blocks are taken meanwhile")
    buddy.resign()
    buddy.release(blocks[14])
    context.require(buddy.allocate(order: 0)?.index == 14, "another block than the hot one")
    context.require(buddy.allocate(order: 0)?.index == 10, "another block than the one queued last")
    expect([0, 8], "a queue emptied by who allocates")
  }

  static let frontier = Check("frontier", "untouched units: in which blocks they come into use, and where the region ends") { context in
    let layers = OwnLayers(mebibytes: 28)
    let buddy = layers.buddy
    func expect(_ order: Int, at index: Int?, listed expected: [[Int]]) {
      let block = buddy.allocate(order: order)
      var listed: [[Int]] = []
      buddy.visitListed { listed.append([$0, $1]) }
      context.require(block?.index == index, "a block of order \(order) has number \(block?.index ?? -1)")
      context.require(listed == expected, "after one of order \(order) there are free \(listed)")
      context.require(block?.isDirty != true, "untouched units are dirty")
      context.count(1)
    }
    expect(0, at: 0, listed: [[0, 1], [1, 1], [2, 1], [3, 1]])
    expect(3, at: 1, listed: [[0, 1], [1, 1], [2, 1]])
    expect(3, at: 2, listed: [[0, 1], [1, 1], [2, 1]])
    expect(1, at: 1, listed: [[0, 1], [2, 1]])
    expect(2, at: 1, listed: [[0, 1]])
    expect(3, at: nil, listed: [[0, 1]])
    expect(2, at: 6, listed: [[0, 1]])
    expect(0, at: 1, listed: [])
    expect(0, at: nil, listed: [])
    context.require(buddy.dirtyUnits == 0, "\(layers.buddy.dirtyUnits) untouched units are dirty")
  }

  static let flushing = Check("flushing", "a bin that is emptied: what goes to the global stack, and what goes home") { context in
    for size in [64, 5000, 32 << 10, 128 << 10] {
      let sizeClass = SizeClass(holding: size)
      let half = (min(sizeClass.stretch, sizeClass.firstAllowance) + 1) / 2
      for count in Set([1, half - 1, half, sizeClass.batch, sizeClass.batch + 1]) where count > 0 {
        let made = OwnHeap.with(OwnHeap.switches(region: 16 << 20)) { heap in
          guard let cache = heap.registry.adopt(capacity: { 2 * $0.batch }) else { return context.find("no cache") }
          let bin = cache.bin(sizeClass)
          heap.fill(bin, count, sizeClass)
          heap.detach(cache)
          // By whole batches, and the rest where it is at least half of what an empty bin would take from the slabs, while the stack may keep it.
          let (stretch, most) = (min(sizeClass.stretch, sizeClass.firstAllowance), heap.depots.allowedBytes(sizeClass) / sizeClass.size)
          var stacked = 0
          for start in stride(from: 0, to: count, by: sizeClass.batch) {
            let leaving = min(count - start, sizeClass.batch)
            if leaving * 2 >= stretch, stacked + leaving <= most { stacked += leaving }
          }
          let kept = heap.depots.blockCount(sizeClass)
          context.require(kept == stacked, "\(count) blocks of \(size): \(kept) go to the global stack, not \(stacked)")
          context.require(heap.slabs.takenCount(sizeClass) == kept, "\(count) blocks of \(size): what is not home, and not there?")
          context.count(1)
        }
        context.require(made, "no heap")
      }
    }
  }

  static let filling = Check("filling", "a bin that is filled from the slabs: with how many blocks, neighbours lowest first") { context in
    for size in [64, 80, 600, 32 << 10, 1 << 20] {
      let sizeClass = SizeClass(holding: size)
      let made = OwnHeap.with(OwnHeap.switches(region: 16 << 20)) { heap in
        guard let cache = heap.adoptCache() else { return context.find("no cache") }
        let bin = cache.bin(sizeClass)
        var last: UInt?
        for number in 0..<sizeClass.slabBlocks {
          guard let block = heap.allocate(size) else { return context.find("no memory") }
          let address = UInt(bitPattern: block)
          if let last { context.require(address == last + UInt(sizeClass.size), "block \(number) of \(size) is no neighbour of the one before") }
          last = address
          let stretch = min(sizeClass.stretch, sizeClass.firstAllowance)
          // The last one of a slab may be a short one.
          let left = min((number / stretch + 1) * stretch, sizeClass.slabBlocks) - number - 1
          context.require(bin.count == left, "behind block \(number) of \(size) the bin holds \(bin.count), not \(left)")
        }
        context.count(1)
      }
      context.require(made, "no heap")
    }
  }

  // Behind a cache's last bin lie the slots, which may hold anything: what would be open, and full, were it one.
  private static func beyondTheLast(_ context: CheckContext) {
    let bytes = ThreadCache<HardwareMemory>.bytes
    let memory = ZeroedMemory(bytes: bytes + 4096)
    ThreadCache<HardwareMemory>(memory.start).lay { _ in 1 }
    memset(memory.start + bytes, 1, 4096)
    memset(memory.start + BinLayout.slotsOffset, 1, bytes - BinLayout.slotsOffset)
    let own = HardwareMemory.cache
    HardwareMemory.cache = memory.start
    defer { HardwareMemory.cache = own }
    var isSlow = false
    let size = UInt(SizeClass.largest + 1)
    _ = HotPath<HardwareMemory>.allocateLarger(size, otherwise: { isSlow = true; return nil }, live: { _ in nil })
    context.require(isSlow, "a block larger than the largest class is taken from a bin")
  }

  static let stretching = Check("stretching", "where pages are refused as too many, they are asked for less often") { context in
    let pool = PoolAllocator()
    guard let cache = ProcessHeap.shared?.cacheOfThread() else { return context.find("no heap") }
    withGuards(.init(pages: 2)) {
      var state = HardwareMemory.load(SharedWord(cache.address + 56))
      for _ in 0..<20_000 { pool.deallocate(pool.allocateIfPossible(size: 48)) }
      let end = HardwareMemory.load(SharedWord(cache.address + 56))
      var words = 0
      while state != end, words < 20_000 {
        state ^= state >> 12
        state ^= state << 25
        state ^= state >> 27
        words += 1
      }
      context.note("\(words) random words for 20,000 blocks")
      context.require(words < 5000, "\(words) random words for 20,000 blocks, every second of which may have a page")
    }
    // One in each tick of the clock, a few milliseconds, and no more.
    guard let policy = ProcessHeap.shared?.policy else { return }
    withGuards(.init(pages: 2)) {
      let (before, start) = (policy.pageSamples, System.milliseconds)
      while System.milliseconds < start + 60 { pool.deallocate(pool.allocateIfPossible(size: 48)) }
      let (samples, passed) = (policy.pageSamples - before, System.milliseconds - start)
      context.require(samples > 0 && samples <= passed, "\(samples) blocks before a page in \(passed) ms")
    }
    context.count(20_000)
  }

  // Whether they are asked for is a flag of the mapping.
  private static func hugePages(_ pool: PoolAllocator, _ context: CheckContext) {
    guard ProcessHeap.shared?.switches.hugePages == true, let own = System.map(4 << 20) else { return }
    let isTaken = madvise(own, 4 << 20, MADV_HUGEPAGE) == 0
    System.unmap(own, 4 << 20)
    guard isTaken else { return context.note("the system takes no advice of huge pages") }
    for (size, isHuge) in [(1100 << 20, true), (600 << 20, false)] {
      guard let block = pool.allocateIfPossible(size: size) else { return context.find("no memory") }
      let flags = ProcessMemory.flags(of: block)
      context.require(flags.contains("hg") == isHuge, "\(size) bytes are mapped with \(flags)")
      pool.deallocate(block)
      context.count(1)
    }
  }

  static let hugeBlocks = Check("huge-blocks", "all huge blocks released at once, guarded or not: given back, forgotten, freed no more") { context in
    let pool = PoolAllocator()
    hugePages(pool, context)
    for guarded in [false, true] {
      withGuards(.init(canaries: guarded ? 1 : 0)) {
        let known = PoolAllocator.trackedBlocks
        PoolAllocator.isTracking = true
        defer { PoolAllocator.isTracking = false }
        let sizes = [1100 << 20, 1200 << 20, 600 << 20, 100]
        let blocks = sizes.compactMap { pool.allocateIfPossible(size: $0) }
        guard blocks.count == 4, let heap = ProcessHeap.shared else { return context.find("no memory") }
        if guarded {
          // The base of a guarded mapping is no user's pointer.
          let base = blocks[2] - 16
          context.require(heap.guarded.record(of: UserPointer(blocks[2]))?.base == BlockBase(address: UInt(bitPattern: base)), "another base")
          let faults = FaultRecorder.record { pool.deallocate(base) }.map(\.state)
          context.require(faults == ["the base of a guarded block, not its user's pointer"], "a guarded block's base is freed: \(faults)")
        }
        context.require(pool.releaseAllHugeBlocks() == 2, "other than two huge blocks are released")
        context.require(pool.statistics().huge.liveBlocks == 0 && pool.checkInvariants(), "huge blocks are left")
        context.require(PoolAllocator.trackedBlocks == known + 2, "the tracker knows huge blocks that were released")
        for block in blocks.prefix(2) {
          let kinds = FaultRecorder.record { pool.deallocate(block) }.map(\.kind)
          // Of a guarded one only the base is known to have been given back.
          context.require(kinds == [guarded ? "invalid pointer" : "double free"], "a block that was released is freed: \(kinds)")
          context.require(heap.guarded.record(of: UserPointer(block)) == nil, "a block that was released is known")
        }
        context.require(FaultRecorder.record { blocks.suffix(2).forEach { pool.deallocate($0) } }.isEmpty, "other blocks are released too")
        context.require(pool.releaseAllHugeBlocks() == 0, "huge blocks are released twice")
        context.count(4)
      }
    }
  }

  static let keeping = Check("keeping", "blocks that are resized: which stay where they are") { context in
    let pool = PoolAllocator()
    func stays(_ size: Int, _ next: Int, _ expected: Bool) {
      guard let block = pool.allocateIfPossible(size: size) else { return context.find("no memory") }
      let moved = try? pool.reallocate(block, size: next)
      context.require((moved == block) == expected, "\(size) bytes made \(next) \(expected ? "move" : "stay")")
      pool.deallocate(moved)
      context.count(1)
    }
    let kibibyte = 1 << 10
    let staying: [(Int, Int)] = [
      (64, 64), (64, 60), (64, 32), (1024, 512), (8192, 4096), (1024 * kibibyte, 512 * kibibyte), (2048 * kibibyte, 1024 * kibibyte + 1),
      (3072 * kibibyte, 4096 * kibibyte), (4096 * kibibyte, 2048 * kibibyte), (614_400 * kibibyte, 613_376 * kibibyte),
    ]
    for (size, next) in staying { stays(size, next, true) }
    let moving: [(Int, Int)] = [
      (64, 65), (64, 16), (1024, 448), (8192, 3000), (1024 * kibibyte, 400 * kibibyte), (2048 * kibibyte, 1024 * kibibyte),
    ]
    for (size, next) in moving { stays(size, next, false) }
    if Surroundings.replaceMalloc { return }
    let system = SystemAllocator()
    for (next, alignment) in [(190, 1), (190, 2), (190, 8), (190, 16), (1, 16)] {
      guard let block = try? system.allocate(size: 200, alignment: 16, zeroed: false, file: #fileID, line: #line) else { return context.find("no memory") }
      let moved = try? system.reallocate(block, size: next, alignment: alignment, file: #fileID, line: #line)
      context.require(moved == block, "the C library's block moves for an alignment of \(alignment)")
      system.deallocate(moved)
      context.count(1)
    }
    let resident = ProcessMemory.resident
    for _ in 0..<100 {
      guard let block = try? system.allocate(size: 1 << 20, alignment: 16, zeroed: true, file: #fileID, line: #line) else { return context.find("no memory") }
      memset(block, 1, 1 << 20)
      system.deallocate(try? system.reallocate(block, size: 1000, alignment: 64, file: #fileID, line: #line))
    }
    let growth = ProcessMemory.resident - resident
    context.require(growth < 50 << 20, "\(growth >> 20) MiB of the C library's blocks are lost")
  }
}
