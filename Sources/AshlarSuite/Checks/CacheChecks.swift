import Ashlar

extension Check {
  static let threadExit = Check(
    "thread-exit", "a thread that ends leaves an empty cache, which the next one has"
  ) { context in
    let pool = PoolAllocator()
    guard let heap = ProcessHeap.shared?.pointee else { return context.find("no heap") }
    func caches() -> (all: Int, left: Int, held: UInt) {
      var (all, left, held) = (0, 0, UInt(0))
      heap.registry.visit { cache in
        all += 1
        guard HardwareMemory.load(cache.owned) == 0 else { return true }
        left += 1
        for index in 0..<SizeClass.count { held += cache.bin(SizeClass(index: index)).count }
        return true
      }
      return (all, left, held)
    }
    for round in 0..<100 {
      Threads.run(1) { _ in
        let blocks = PoolAllocator.sizeClasses.flatMap { size in (0..<3).compactMap { _ in pool.allocateIfPossible(size: size) } }
        blocks.forEach { pool.deallocate($0) }
      }
      let (all, left, held) = caches()
      context.require(left > 0 && held == 0, "\(held) blocks in \(left) caches that were left")
      context.require(all <= 24, "\(all) caches after \(round + 1) threads, one at a time")
      context.count(1)
    }
  }

  static let reportReentry = Check(
    "report-reentry", "a fault handler that frees while a bin is flushed: what left the bin leaves it once"
  ) { context in
    let pool = PoolAllocator()
    // Two blocks to a bin, one to a magazine.
    let size = 128 << 10
    let sizeClass = SizeClass(holding: size)
    pool.trim()
    let blocks = (0..<40).compactMap { _ in pool.allocateIfPossible(size: size) }
    guard blocks.count == 40, let heap = ProcessHeap.shared?.pointee, let cache = heap.cacheOfThread() else {
      return context.find("no memory")
    }
    // Fills the bin and the depot.
    for block in blocks[4...] { pool.deallocate(block) }
    let bin = cache.bin(sizeClass)
    context.require(bin.count == 2, "\(bin.count) blocks in a bin of two")
    // As if two threads had freed it at once, and one had allocated it again.
    let instead = bin[0]
    bin[0] = UInt(bitPattern: blocks[0])
    let (reports, late) = (SharedCount(), SharedCount())
    late.value = Int(bitPattern: blocks[1])
    PoolAllocator.setFaultHandler { _ in
      reports.add(1)
      PoolAllocator().deallocate(UnsafeMutableRawPointer(bitPattern: late.take()))
    }
    pool.deallocate(blocks[2])
    PoolAllocator.setFaultHandler(nil)
    context.require(reports.value == 1, "\(reports.value) reports of one block freed twice")
    _ = heap.slabs.giveBack(sizeClass, 1) { _ in instead }
    pool.deallocate(blocks[0])
    pool.deallocate(blocks[3])
    pool.trim()
    context.require(pool.checkInvariants(), "the heap's records do not agree")
    context.count(1)
  }
}
