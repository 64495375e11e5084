import Ashlar
import Glibc

extension Check {
  static let cInterface = Check("c-interface", "free leaves errno alone on every path, and so does what is granted; valloc and pvalloc; limits") { context in
    for (size, alignment) in [(100, 16), (2000, 16), (100_000, 16), (2 << 20, 16), (600 << 20, 16), (100, 1 << 17)] {
      errno = 77
      let blocks = (0..<200).compactMap { _ in ashlarAlignedAlloc(UInt(alignment), UInt(size)) }
      context.require(errno == 77, "allocating \(size) bytes aligned to \(alignment) set errno to \(errno)")
      errno = 77
      for block in blocks { ashlarFree(block) }
      context.require(errno == 77, "freeing \(size) bytes aligned to \(alignment) set errno to \(errno)")
      context.count(blocks.count)
    }
    let page = UInt(System.pageBytes)
    var blocks: [UnsafeMutableRawPointer?] = []
    for _ in 0..<10 { blocks += [ashlarValloc(100), ashlarPvalloc(100)] }
    for case let block? in blocks { context.require(UInt(bitPattern: block) % page == 0, "valloc: \(block) begins no page") }
    context.require(blocks.allSatisfy { $0 != nil && ashlarMallocUsableSize($0) >= 100 }, "valloc: no block")
    context.require(ashlarMallocUsableSize(blocks[1]) >= page, "pvalloc: less than a page")
    blocks.forEach { ashlarFree($0) }
    for size in [UInt.max, .max - page + 2, UInt(Int.max) + 1] {
      errno = 0
      context.require(ashlarPvalloc(size) == nil && errno == ENOMEM, "pvalloc(\(size)) is granted")
      context.require(ashlarValloc(size) == nil, "valloc(\(size)) is granted")
    }
    errno = 0
    context.require(ashlarAlignedAlloc(3, 8) == nil && errno == EINVAL, "aligned_alloc takes an alignment of 3")
    for (size, pages): (UInt, UInt) in [(0, 1), (1, 1), (page - 1, 1), (page, 1), (page + 1, 2), (2 * page + 1, 3), (5 * page, 5)] {
      let block = ashlarPvalloc(size)
      context.require(ashlarMallocUsableSize(block) / page == pages, "pvalloc(\(size)): \(ashlarMallocUsableSize(block)) bytes")
      ashlarFreeAlignedSized(block, page, size)
    }
    otherFunctions(context)
    internalInterface(context)
  }

  private static func otherFunctions(_ context: CheckContext) {
    let live = PoolAllocator().statistics().total.liveBlocks
    ashlarFreeSized(ashlarMalloc(100), 100)
    ashlarFreeSized(nil, 100)
    let wrong = ashlarMalloc(100)
    let faults = FaultRecorder.record {
      ashlarFreeSized(wrong, 1000)
      ashlarFreeAlignedSized(wrong, 16, 1000)
    }
    context.require(faults.map(\.kind) == ["wrong size", "wrong size"], "sized frees of a smaller block draw \(faults)")
    let gone = ashlarMalloc(100)
    ashlarFree(gone)
    errno = 0
    var (again, error): (UnsafeMutableRawPointer?, Int32) = (nil, 0)
    let drawn = FaultRecorder.record { (again, error) = (ashlarRealloc(gone, 200), errno) }
    context.require(again == nil && error == EINVAL && drawn.count == 1, "what is free is resized: errno \(error), \(drawn)")
    ashlarGuard(1, 0)
    let guarded = ashlarMalloc(50)
    if let guarded { UnwatchedMemory.invert(guarded + 50) }
    let damage = FaultRecorder.record { ashlarFree(guarded) }
    let places = [damage.first?.allocated, damage.first?.freed].map { $0?.wholeMatch(of: #/0x[0-9a-f]{6,}/#) != nil }
    context.require(places == [true, true] && damage.map(\.offset) == [50], "damage is said to come from \(damage)")
    ashlarGuard(0, 0)
    ashlarTrack(1)
    ashlarFree(ashlarMalloc(32))
    let kept = ashlarMalloc(33)
    var known: UInt = 0
    let said = StandardError.captured { known = ashlarReportLeaks() }
    context.require(known == 1 && said.contains("1 small block, 33 bytes, from return address"), "leaks: \(known), \(said)")
    ashlarTrack(0)
    ashlarFree(kept)
    context.require(PoolAllocator.isTracking == false && PoolAllocator.trackedBlocks == 0, "tracking goes on")
    ashlarGuard(3, 5)
    context.require(PoolAllocator.guards == .init(canaries: 3, pages: 5), "guards of 3 and 5 are \(PoolAllocator.guards)")
    ashlarGuard(0, 0)
    let statistics = StandardError.captured { ashlarPrintStatistics() }
    context.require(statistics.hasPrefix("ashlar: small: "), "statistics: \(statistics)")
    (0..<100).compactMap { _ in ashlarMalloc(50_000) }.forEach { ashlarFree($0) }
    context.require(ashlarMallocTrim(0) == 1 && ashlarCheckInvariants() == 1, "the heap's records do not agree")
    let away = ProcessHeap.shared?.slabs.takenCount(SizeClass(holding: 50_000))
    context.require(away == 0, "\(away ?? -1) free blocks are not home after a trim")
    if let heap = ProcessHeap.shared, let bin = heap.cacheOfThread()?.bin(SizeClass(holding: 100)), bin.capacity > 0,
      let live = ashlarMalloc(100)
    {
      // A live block in a cache: records that do not agree.
      bin.push(heap.region.tagAddress(of: BlockBase(address: UInt(bitPattern: live))), to: bin.slot(bin.count))
      context.require(ashlarCheckInvariants() == 0 && !PoolAllocator().checkInvariants(), "records that do not agree are said to")
      bin.count -= 1
      ashlarFree(live)
    }
    let resized = ashlarReallocarray(ashlarRealloc(nil, 10), 10, 0)
    context.require(resized != nil, "no block of no bytes")
    ashlarFree(resized)
    ashlarFree(wrong)
    context.require(PoolAllocator().statistics().total.liveBlocks == live, "blocks are left over")
    context.count(15)
  }

  // What the suite's own interface does reaches the heap.
  private static func internalInterface(_ context: CheckContext) {
    let pool = PoolAllocator()
    pool.trim()
    pool.deallocate(pool.allocateIfPossible(size: 64))
    guard let heap = ProcessHeap.shared, let bin = heap.cacheOfThread()?.bin(SizeClass(holding: 64)) else { return context.find("no cache") }
    guard bin.capacity > 0, heap.switches.retain >= 8 << 20, heap.switches.delay >= 1000 else { return }
    context.require(bin.count > 0, "a block that was freed is in no bin")
    pool.reclaim()
    context.require(bin.count == 0, "a bin that was reclaimed holds blocks")
    pool.deallocate(pool.allocateIfPossible(size: 8 << 20))
    let calls = SystemFaults.callCount
    pool.purge()
    context.require(heap.buddy.dirtyUnits == 0 && SystemFaults.callCount > calls, "units stay dirty after a purge")
  }

  static let growth = Check(
    "growth", "a block that grows beyond a quarter of a unit stays where it is up to a whole one, and leaves it when it shrinks"
  ) { context in
    let pool = PoolAllocator()
    guard ProcessHeap.shared?.switches.strict == false else { return context.note("left out: a unit is writable as a whole") }
    guard PoolAllocator.guards.canaries != 1, var block = pool.allocateIfPossible(size: 100_000) else { return }
    for offset in 0..<100_000 { block.storeBytes(of: UInt8(truncatingIfNeeded: offset * 7), toByteOffset: offset, as: UInt8.self) }
    var roomy: UnsafeMutableRawPointer?
    for size in [150_000, 300_000, 450_000, 700_000, 1 << 20, 900_000, 262_144, 1 << 20, 200_000] {
      guard let moved = try? pool.reallocate(block, size: size) else { return context.find("no \(size) bytes") }
      block = moved
      let isWhole = (0..<100_000).allSatisfy { block.load(fromByteOffset: $0, as: UInt8.self) == UInt8(truncatingIfNeeded: $0 * 7) }
      context.require(isWhole && pool.usableSize(of: block) >= size, "a block that grew to \(size) bytes has changed, or is too small")
      if size == 300_000 { roomy = block }
      let isRoomy = pool.usableSize(of: block) == 1 << 20
      context.require(!isRoomy || block == roomy, "\(size) bytes in another unit")
      context.require(isRoomy == (roomy != nil && size > 200_000), "\(size) bytes: \(isRoomy ? "kept in" : "not in") a unit of their own")
      context.count(1)
    }
    pool.deallocate(block)
    // One that shrinks has nothing to grow into.
    let shrunk = pool.allocateIfPossible(size: 1 << 20).flatMap { try? pool.reallocate($0, size: 300_000) }
    context.require(shrunk.flatMap { ProcessHeap.shared?.level(of: UserPointer($0)) } == .small, "a block that shrank has a unit of its own")
    pool.deallocate(shrunk)
    context.require(pool.checkInvariants(), "the heap's records do not agree")
  }

  static let resizing = Check("resizing", "mappings that grow, shrink and move; alignment asked for late; refusals while tracked") {
    context in
    let pool = PoolAllocator()
    let before = pool.statistics()
    // The second lies below the first, as a rule, and can't grow where it is.
    var blocks = (0..<3).compactMap { _ in pool.allocateIfPossible(size: 520 << 20) }
    for size in [600 << 20, 1100 << 20, 530 << 20] {
      for index in blocks.indices {
        blocks[index].storeBytes(of: index, as: Int.self)
        guard let moved = try? pool.reallocate(blocks[index], size: size) else { return context.find("no \(size) bytes") }
        blocks[index] = moved
        moved.storeBytes(of: ~index, toByteOffset: size - 8, as: Int.self)
      }
      for (index, block) in blocks.enumerated() {
        let isWhole = block.load(as: Int.self) == index && block.load(fromByteOffset: size - 8, as: Int.self) == ~index
        context.require(isWhole, "a mapping resized to \(size) has changed")
      }
      let isHuge = size > 1 << 30
      let now = pool.statistics()
      context.require(now.huge.liveBlocks - before.huge.liveBlocks == (isHuge ? 3 : 0), "huge blocks are miscounted")
      context.require(now.huge.frees >= 0 && now.large.frees >= before.large.frees, "more is live than was allocated")
      context.require(now.huge.allocations - before.huge.allocations == (isHuge ? 3 : 0), "allocations of huge blocks are miscounted")
      context.require(pool.checkInvariants(), "the heap's records do not agree")
      context.count(3)
    }
    blocks.forEach { pool.deallocate($0) }
    // The alignment of a page is that of any mapping: the system moves its pages, nobody copies them.
    for (old, new) in [(16, 4096), (4096, 16), (4096, 4096)] {
      guard let block = pool.allocateIfPossible(size: 520 << 20, alignment: old) else { return context.find("no memory") }
      let calls = PoolAllocator.systemCallCount
      let resized = try? pool.reallocate(block, size: 530 << 20, alignment: new, file: #fileID, line: #line)
      let taken = PoolAllocator.systemCallCount - calls
      context.require(resized != nil && taken == 1, "a mapping aligned to \(old) is resized, aligned to \(new), by \(taken) calls")
      pool.deallocate(resized ?? block)
    }
    // So it is with more than a page, but for the place so aligned that it has to have first.
    for size in [530 << 20, 521 << 20, 1100 << 20] {
      let aligned = (0..<3).compactMap { _ in pool.allocateIfPossible(size: 522 << 20, alignment: 4 << 20) }
      for block in aligned {
        block.storeBytes(of: 7, toByteOffset: 500 << 20, as: Int.self)
        let resident = ProcessMemory.resident
        let moved = try? pool.reallocate(block, size: size, alignment: 16, file: #fileID, line: #line)
        context.require(moved.map { UInt(bitPattern: $0) % (4 << 20) } == 0, "a mapping resized to \(size) is not aligned any more")
        context.require(moved?.load(fromByteOffset: 500 << 20, as: Int.self) == 7, "an aligned mapping resized to \(size) has changed")
        // What memcheck keeps of each byte is copied.
        let copied = MemoryMarks().matter ? 0 : ProcessMemory.resident - resident
        context.require(copied < 64 << 20, "an aligned mapping resized to \(size) is copied")
        pool.deallocate(moved)
      }
      context.count(aligned.count)
    }
    for size in [64, 5000, 100_000] {
      // Of neighbours not all can be aligned by luck.
      let small = (0..<4).compactMap { _ in pool.allocateIfPossible(size: size) }
      for block in small {
        let moved = try? pool.reallocate(block, size: size, alignment: 32768, file: #fileID, line: #line)
        context.require(moved.map { UInt(bitPattern: $0) % 32768 } == 0, "a block of \(size) resized is not aligned")
        pool.deallocate(moved)
      }
    }
    // Smaller, and so in place but for the alignment.
    let larger = (0..<4).compactMap { _ in pool.allocateIfPossible(size: 40 << 10) }
    for block in larger {
      let moved = try? pool.reallocate(block, size: 32 << 10, alignment: 32 << 10, file: #fileID, line: #line)
      context.require(moved.map { UInt(bitPattern: $0) % 32768 } == 0, "a block made smaller is not aligned")
      pool.deallocate(moved)
    }
    PoolAllocator.isTracking = true
    for (size, next) in [(64, 60), (2 << 20, (2 << 20) - 1), (600 << 20, 599 << 20)] {
      guard let block = pool.allocateIfPossible(size: size, file: "Old.swift", line: 1) else { return context.find("no memory") }
      let same = try? pool.reallocate(block, size: next, alignment: 16, file: "New.swift", line: 2)
      let said = StandardError.captured { PoolAllocator.reportLeaks() }
      context.require(said.contains("\(next) bytes, from New.swift:2\n") && !said.contains("Old.swift"), "\(size) bytes resized where they are: \(said)")
      pool.deallocate(same)
    }
    if let block = pool.allocateIfPossible(size: 600 << 20) {
      let known = PoolAllocator.trackedBlocks
      PoolAllocator.injectSystemFault(call: 1, onwards: true)
      context.require((try? pool.reallocate(block, size: 700 << 20)) == nil, "a refused resize succeeds")
      PoolAllocator.liftSystemFaults()
      context.require(PoolAllocator.trackedBlocks == known, "the tracker forgets a block that could not be resized")
      pool.deallocate(block)
    }
    PoolAllocator.isTracking = false
  }

  static let wrongSize = Check("wrong-size", "a sized free of a block that is smaller: one report, and no effect") { context in
    let pool = PoolAllocator()
    for size in [16, 1000, 100_000, 2 << 20, 600 << 20] {
      guard let block = pool.allocateIfPossible(size: size) else { continue }
      let usable = pool.usableSize(of: block)
      for wrong in [usable + 1, Int.max, -1] {
        let faults = FaultRecorder.record { pool.deallocate(block, size: wrong) }
        context.require(faults.map(\.kind) == ["wrong size"], "freeing \(size) bytes as \(wrong) draws \(faults)")
        context.require(pool.usableSize(of: block) == usable, "the block of \(size) is gone")
      }
      let index = FaultRecorder.record { pool.deallocate(block, size: -1) }.map(\.sizeClass)
      let expected = size <= 1 << 20 ? SizeClass(holding: size).index : size == 2 << 20 ? 1 : nil
      context.require(index == [expected], "the class of \(size) bytes is said to be \(index)")
      if size > 64, size < 600 << 20 {
        let faults = FaultRecorder.record { pool.deallocate(block + 32) }
        context.require(faults.map(\.blockSize) == [usable], "inside a block of \(usable): \(faults.map(\.blockSize))")
      }
      context.require(FaultRecorder.record { pool.deallocate(block, size: usable) }.isEmpty, "all usable bytes are too many")
      context.count(4)
    }
    withGuards(.init(canaries: 1)) {
      guard let block = pool.allocateIfPossible(size: 100, file: "Guarded.swift", line: 5) else { return context.find("no memory") }
      let faults = FaultRecorder.record { pool.deallocate(block, size: 101) }
      context.require(faults.map(\.allocated) == ["Guarded.swift:5"] && faults.map(\.blockSize) == [100], "a guarded block: \(faults)")
      pool.deallocate(block)
    }
  }
}
