import Ashlar
import Glibc

extension Check {
  static let guardPages = Check(
    "guard-pages", "blocks before a page: the access stopped and blamed, slots used again after every refusal"
  ) { context in
    withGuards(.init(pages: 1)) {
      let pool = PoolAllocator()
      guard let pages = ProcessHeap.shared?.pages else { return context.find("no heap") }
      func all() -> [UnsafeMutableRawPointer] {
        let blocks = (0..<GuardPages<HardwareMemory>.slotCount).compactMap { _ in pool.allocateIfPossible(size: 32) }
        let sampled = blocks.filter { pages.contains(UInt(bitPattern: $0)) }
        context.require(sampled.count == blocks.count, "only \(sampled.count) of \(blocks.count) slots are left")
        return blocks
      }
      for _ in 0..<3 { all().forEach { pool.deallocate($0) } }
      for (size, alignment, fits) in [(4096, 4096, true), (1, 4096, true), (4097, 16, false), (1, 8192, false)] where System.pageBytes == 4096 {
        let block = pool.allocateIfPossible(size: size, alignment: alignment)
        context.require(pages.contains(UInt(bitPattern: block)) == fits, "\(size) bytes aligned to \(alignment) \(fits ? "" : "don't ")fit before a page")
        pool.deallocate(block)
      }
      // Refused, the page is not had, and the slot is for a later block.
      for _ in 0..<300 {
        PoolAllocator.injectSystemFault(call: 1, onwards: false)
        pool.deallocate(pool.allocateIfPossible(size: 32))
      }
      PoolAllocator.liftSystemFaults()
      let blocks = all()
      accesses(blocks, context)
      for block in blocks {
        memset(block, 0xA5, 32)
        PoolAllocator.injectSystemFault(call: 1, onwards: false)
        pool.deallocate(block)
      }
      PoolAllocator.liftSystemFaults()
      for block in all() {
        context.require(Pattern.firstNonZero(block, 0..<32) == nil, "a page that was not forbidden keeps its contents")
        pool.deallocate(block)
      }
    }
    context.require(PoolAllocator().checkInvariants(), "the heap's records do not agree")
  }

  /// In children, who die of it.
  private static func accesses(_ blocks: [UnsafeMutableRawPointer], _ context: CheckContext) {
    let sorted = blocks.sorted()
    // A page between any two, before the first and behind the last.
    let page = UInt(System.pageBytes)
    let (first, end) = ((UInt(bitPattern: sorted[0]) & ~(page - 1)) - page, (UInt(bitPattern: sorted[255]) & ~(page - 1)) + 2 * page)
    if let pages = ProcessHeap.shared?.pages {
      context.require(pages.contains(first) && pages.contains(end - 1), "a page beside a slot is none of the guard pages")
      context.require(!pages.contains(first - 1) && !pages.contains(end), "what lies beside the guard pages is taken for one")
      context.require(end - first == 513 * page, "the guard pages are \((end - first) / page)")
    }
    let (left, right) = (sorted[10], sorted[11])
    func died(_ kind: String, of victim: UnsafeMutableRawPointer, _ access: () -> Void) {
      let address = UInt(bitPattern: victim)
      let status = Processes.fork(seconds: 5) {
        PoolAllocator.setFaultHandler { fault in _exit(fault.kind == kind && fault.address == address ? 42 : 43) }
        access()
        return true
      }
      context.require(status == 42 << 8, "\(kind): the child ended with \(status)")
      context.count(1)
    }
    let gap = Int(System.pageBytes)
    died("overflow", of: left) { left.storeBytes(of: 1, toByteOffset: 32, as: UInt8.self) }
    died("overflow", of: left) { left.storeBytes(of: 1, toByteOffset: 32 + gap / 4, as: UInt8.self) }
    died("overflow", of: left) { left.storeBytes(of: 1, toByteOffset: 32 + gap / 2 - 1, as: UInt8.self) }
    died("underflow", of: right) { left.storeBytes(of: 1, toByteOffset: 32 + gap / 2, as: UInt8.self) }
    died("underflow", of: right) { left.storeBytes(of: 1, toByteOffset: 32 + gap - 1, as: UInt8.self) }
    // The outer pages have a block on one side only.
    died("underflow", of: sorted[0]) { UnsafeMutableRawPointer(bitPattern: first)?.storeBytes(of: 1, as: UInt8.self) }
    died("overflow", of: sorted[255]) { UnsafeMutableRawPointer(bitPattern: end - 1)?.storeBytes(of: 1, as: UInt8.self) }
    elsewhere(context)
    let faults = FaultRecorder.record { PoolAllocator().deallocate(left - 16) }
    context.require(faults.map(\.state) == ["in the page of a guarded block, not at its start"], "a free before a block in its page: \(faults)")
    died("use after free", of: left) {
      PoolAllocator().deallocate(left)
      left.storeBytes(of: 1, as: UInt8.self)
    }
  }

  // What is none of these pages is for whoever handled it before.
  private static func elsewhere(_ context: CheckContext) {
    // Who watches memory reports the access.
    guard !MemoryMarks().matter else { return }
    let status = Processes.fork(seconds: 5) {
      signal(SIGSEGV) { _ in _exit(44) }
      PoolAllocator.guards = .init(pages: 1)
      UnsafeMutableRawPointer(bitPattern: 4096)?.storeBytes(of: 1, as: UInt8.self)
      return true
    }
    context.require(status == 44 << 8, "an access elsewhere: the program's handler is not called, the child ended with \(status)")
  }

  static let guardSizes = Check("guard-sizes", "a guarded block takes its header and a granule of canary more, once") { context in
    withGuards(.init(canaries: 1)) {
      let pool = PoolAllocator()
      for index in 3..<PoolAllocator.sizeClasses.count {
        let size = PoolAllocator.sizeClasses[index] - 32
        let before = pool.statistics(ofSizeClass: index).liveBlocks
        let block = pool.allocateIfPossible(size: size)
        let after = pool.statistics(ofSizeClass: index).liveBlocks
        context.require(after == before + 1, "a guarded block of \(size) is not one of class \(size + 32)")
        pool.deallocate(block)
        context.count(1)
      }
    }
  }

  static let sampledCounts = Check("sampled-counts", "the counters of allocations while some are sampled") { context in
    let pool = PoolAllocator()
    for guards: PoolAllocator.Guards in [.init(canaries: 7), .init(canaries: 100), .init(), .init(canaries: 3)] {
      withGuards(guards) {
        let before = pool.statistics().small.allocations
        for _ in 0..<10_000 { pool.deallocate(pool.allocateIfPossible(size: 48)) }
        let counted = pool.statistics().small.allocations - before
        context.require(counted == 10_000, "\(guards): \(counted) allocations of 10000 are counted")
        context.count(10_000)
      }
    }
    countMeanwhile(context)
  }

  /// Asks for the counters while another thread's bins are armed and disarmed.
  private static func countMeanwhile(_ context: CheckContext) {
    let isOver = SharedCount()
    Threads.run(2) { thread in
      let pool = PoolAllocator()
      if thread == 0 {
        for round in 0..<100_000 {
          PoolAllocator.guards = .init(canaries: round % 2 == 0 ? 1_000_000 : 0)
          pool.deallocate(pool.allocateIfPossible(size: 48))
        }
        PoolAllocator.guards = .init()
        isOver.add(1)
      } else {
        while isOver.value == 0 {
          let small = pool.statistics().small
          context.require(small.allocations >= 0, "\(small.allocations) allocations are counted")
          context.count(1)
        }
      }
    }
  }
}
