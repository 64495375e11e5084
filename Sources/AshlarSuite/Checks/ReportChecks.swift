import Ashlar
import CAshlar
import Foundation
import Glibc

extension Check {
  static let reportText = Check("report-text", "the words of reports: numbers, sizes, statistics, live blocks by site, faults") { context in
    expect(["-7 0 9223372036854775807 0x0 0xabcdef0123456789"], "numbers", context) {
      LineWriter.report { line in
        line.append(-7)
        line.append(" ")
        line.append(0)
        line.append(" ")
        line.append(Int.max)
        line.append(" ")
        line.append(hexadecimal: 0)
        line.append(" ")
        line.append(hexadecimal: 0xABCD_EF01_2345_6789)
      }
    }
    for (size, text) in [(0, "0 B"), (64, "64 B"), (1000, "1000 B"), (1024, "1 KiB"), (1536, "1536 B"), (3 << 20, "3 MiB"), (5 << 40, "5120 GiB")] {
      expect([text], "a size", context) { LineWriter.report { $0.append(size: size) } }
    }
    // As long as its buffer of 1024, and one byte longer.
    for length in [1023, 1024] {
      expect([String(repeating: "x", count: 1023)], "a long line", context) {
        LineWriter.report { line in for _ in 0..<length { line.append("x") } }
      }
    }
    let made = OwnHeap.with(OwnHeap.switches(region: 8 << 20)) { heap in
      statistics(heap, context)
      liveBlocks(heap, context)
    }
    context.require(made, "no heap")
    faults(context)
    record(context)
  }

  // What a handler in C is told of an address of which nothing is known but that it is none of ours.
  private static func record(_ context: CheckContext) {
    Fault.handler = { fault in
      _exit(fault.map { $0.pointee.size_class == -1 && $0.pointee.block_size == 0 && $0.pointee.offset == 0 } == true ? 0 : 1)
    }
    let status = Processes.fork {
      PoolAllocator().deallocate(UnsafeMutableRawPointer(bitPattern: 0x1230))
      return false
    }
    Fault.handler = nil
    context.require(status == 0, "an address that is none of ours has a class or an offset: status \(status)")
  }

  // The lines come in any order.
  private static func expect(_ expected: [String], _ what: String, _ context: CheckContext, _ body: () -> Void) {
    let said = StandardError.captured(body).split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    context.require(said.sorted() == (expected + [""]).sorted(), "\(what): \(said)")
    context.count(1)
  }

  private static func statistics(_ heap: Heap<HardwareMemory>, _ context: CheckContext) {
    let blocks = [50, 64, 64, 1 << 20, 3 << 20, 600 << 20, 1100 << 20].compactMap { heap.allocate($0) }
    heap.free(blocks[0])
    let large = 600 << 20, huge = 1100 << 20
    expect([
      "ashlar: small: 4 allocations, 1 frees, 3 live, 1048704 bytes live", "ashlar: medium: 1 allocations, 0 frees, 1 live, 4194304 bytes live",
      "ashlar: large: 1 allocations, 0 frees, 1 live, \(large) bytes live", "ashlar: huge: 1 allocations, 0 frees, 1 live, \(huge) bytes live",
      "ashlar: free: 0 bytes in caches, 0 in global stacks, 65408 in slabs, 0 in pages, 0 in units",
      "ashlar: class 64 B: 3 allocations, 1 frees, 2 live, 128 bytes live", "ashlar: class 1 MiB: 1 allocations, 0 frees, 1 live, 1048576 bytes live",
    ], "statistics", context) { heap.printStatistics() }
    blocks.dropFirst().forEach(heap.free)
  }

  private static func liveBlocks(_ heap: Heap<HardwareMemory>, _ context: CheckContext) {
    heap.setTracking(true)
    expect(["ashlar: 0 blocks live, 0 bytes"], "no blocks", context) { _ = heap.tracker.report() }
    let caller = UnsafeMutableRawPointer(bitPattern: 0x1000)
    context.require(Site(caller: caller).line == 0 && Site.unknown.line == 0, "a return address has a line")
    let sites: [(Int, Site)] = [
      (100, Site(file: "A.swift", line: 1)), (50, Site(file: "A.swift", line: 1)), (7, Site(file: "A.swift", line: 2)),
      (2 << 20, Site(file: "A.swift", line: 1)), (1, Site(caller: caller)), (9, .unknown),
    ]
    let blocks = sites.compactMap { size, site in heap.allocate(Request(size: size), site: site)?.raw }
    for _ in 0..<2 {
      expect([
        "ashlar: 6 blocks live, \((2 << 20) + 167) bytes", "ashlar:   2 small blocks, 150 bytes, from A.swift:1",
        "ashlar:   1 small block, 7 bytes, from A.swift:2", "ashlar:   1 medium block, \(2 << 20) bytes, from A.swift:1",
        "ashlar:   1 small block, 1 bytes, from return address 0x1000", "ashlar:   1 small block, 9 bytes, from return address 0x0",
      ], "live blocks", context) { _ = heap.tracker.report() }
    }
    context.require(heap.tracker.count == 6, "after its reports the tracker knows \(heap.tracker.count) blocks")
    blocks.forEach(heap.free)
    heap.setTracking(false)
  }

  static let whereabouts = Check("whereabouts", "a freed block that is freed again: where it is said to be") { context in
    let pool = PoolAllocator()
    guard let heap = ProcessHeap.shared, let cache = heap.cacheOfThread() else { return context.find("no heap") }
    func expect(_ block: UnsafeMutableRawPointer, _ place: String) {
      let states = FaultRecorder.record { pool.deallocate(block) }.map(\.description)
      let isSo = states.count == 1 && states[0].hasPrefix("double free") && states[0].hasSuffix("already free: " + place)
      context.require(isSo, "a block that is \(place) is said to be: \(states)")
      context.count(1)
    }
    var seen: [String: Int] = [:]
    for size in [64, 16 << 10, 128 << 10] {
      let sizeClass = SizeClass(holding: size)
      pool.trim()
      let blocks = (0..<(8 * max(sizeClass.batch, 8))).compactMap { _ in pool.allocateIfPossible(size: size) }
      // All but one, so that a slab stays.
      for block in blocks.dropLast() { pool.deallocate(block) }
      heap.depots.drain(sizeClass, into: heap.slabs)
      for block in blocks.prefix(5 * max(sizeClass.batch, 8)).compactMap({ _ in pool.allocateIfPossible(size: size) }) { pool.deallocate(block) }
      let bin = cache.bin(sizeClass)
      for block in blocks.dropLast() {
        let base = BlockBase(address: UInt(bitPattern: block))
        let slab = Slab<HardwareMemory>(region: heap.region, containing: heap.region.page(of: base.address))
        guard slab.isOf(sizeClass) else { continue }
        let tag = heap.region.tagAddress(of: base)
        let place = heap.slabs.isHome(tag) ? "in its slab" : bin.holds(tag) ? "in this thread's cache" : "in a global stack"
        expect(block, place)
        seen[place, default: 0] += 1
      }
      if bin.count > 0, case let block = heap.region.block(taggedAt: bin[bin.count - 1]).raw {
        bin.count -= 1
        expect(block, "on its way between caches")
        bin.count += 1
      }
      pool.deallocate(blocks.last)
    }
    context.require(seen.count == 3, "blocks are in \(seen)")
    elsewhere(context, expect)
  }

  private static func elsewhere(_ context: CheckContext, _ expect: (UnsafeMutableRawPointer, String) -> Void) {
    let (freed, seen) = (Rendezvous(parties: 2), Rendezvous(parties: 2))
    let address = SharedCount()
    let thread = Thread {
      let block = PoolAllocator().allocateIfPossible(size: 64)
      address.value = Int(bitPattern: block)
      PoolAllocator().deallocate(block)
      freed.meet()
      seen.meet()
    }
    thread.start()
    freed.meet()
    if let block = UnsafeMutableRawPointer(bitPattern: address.value) { expect(block, "in another thread's cache") }
    seen.meet()
    while !thread.isFinished { usleep(1000) }
  }

  // A fault that nobody handles is said in one line and ends the process.
  private static func faults(_ context: CheckContext) {
    let pool = PoolAllocator()
    func expectFault(_ expected: String, _ act: () -> Void) {
      var status: Int32 = 0
      let said = StandardError.captured {
        status = Processes.fork {
          // The Swift runtime would add its own.
          signal(SIGABRT, SIG_DFL)
          act()
          return true
        }
      }
      let line = said.replacing(#/by return address 0x[0-9a-f]{6,}/#, with: "by a caller")
      context.require(status & 127 == SIGABRT && line == "ashlar: \(expected)\n", "a fault is said to be: \(said), status \(status)")
      context.count(1)
    }
    do {
      // What is no block of the heap is on no level of it.
      let objects = try ObjectPool<Int>(capacity: 1)
      let object = try objects.allocate()
      objects.deallocate(object)
      expectFault("double free: free of \(hex(UInt(bitPattern: object))), block of 16 B, already free: in its object pool") {
        objects.deallocate(object)
      }
    } catch { context.find("no object") }
    let shapes = [(1, "small block of 16 B (class 0)"), (64, "small block of 64 B (class 3)"), (3 << 20, "medium block of 4 MiB (class 2)")]
    for (size, shape) in shapes {
      guard let block = pool.allocateIfPossible(size: size) else { return context.find("no memory") }
      let state = size <= 64 ? "already free: in this thread's cache" : "already free: in the buddy system"
      expectFault("double free: free of \(hex(UInt(bitPattern: block))), \(shape), \(state)") {
        pool.deallocate(block)
        pool.deallocate(block)
      }
      pool.deallocate(block)
    }
    let foreign = UnsafeMutableRawPointer(bitPattern: 0x1230)!
    expectFault("invalid pointer: free of 0x1230, not from this allocator") { pool.deallocate(foreign) }
    withGuards(.init(canaries: 1)) {
      for size in [1, 100] {
        guard let block = pool.allocateIfPossible(size: size, file: "Damage.swift", line: 7) else { return context.find("no memory") }
        let place = "\(hex(UInt(bitPattern: block))), small block of \(size) B, live, guarded, at offset \(size)"
        expectFault("overflow: free of \(place), allocated by Damage.swift:7, freed by a caller") {
          (block + size).assumingMemoryBound(to: UInt8.self).pointee ^= 1
          pool.deallocate(block)
        }
        pool.deallocate(block)
      }
    }
  }
}
