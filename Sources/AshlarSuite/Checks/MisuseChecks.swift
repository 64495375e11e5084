import Ashlar

extension Check {
  static let misuse = Check(
    "misuse", "\(MisuseCase.all.count) double and invalid frees: each drawing its exact report and changing nothing"
  ) { context in
    let cases = MisuseCase.all
    for (number, misuse) in cases.enumerated() {
      if let failure = misuse.failure() { context.find("\(misuse.name): \(failure)") }
      context.count(1)
      context.advance(number, of: cases.count)
    }
  }

  static let badInput = Check("bad-input", "sizes, products and alignments that make no sense: one clear answer each") {
    context in
    let pool = PoolAllocator()
    let before = pool.statistics().total.liveBlocks
    func expect(_ expected: AllocationError, size: Int, alignment: Int) {
      do throws(AllocationError) {
        pool.deallocate(try pool.allocate(size: size, alignment: alignment))
        context.find("\(size) bytes aligned to \(alignment) were granted")
      } catch {
        context.require(error == expected, "\(size) bytes aligned to \(alignment): \(error), not \(expected)")
      }
      context.count(1)
    }
    for alignment in [0, 3, -1, 24, Int.min, Int.max, 1 << 41] {
      expect(.invalidAlignment(alignment), size: 64, alignment: alignment)
    }
    for size in [Int.min, -1] { expect(.invalidSize, size: size, alignment: 16) }
    for size in [Int.max, Int.max - 15, Int.max - 65536, Int.max / 2 + 1, 1 << 47] {
      for alignment in [1, 16, 4096, 65536, 1 << 20, 1 << 40] {
        expect(.outOfMemory(size: size), size: size, alignment: alignment)
      }
    }
    context.require(ashlarCalloc(1 << 33, 1 << 33) == nil, "a product of 2^66 was granted")
    context.require(ashlarCalloc(.max, 2) == nil, "a product of 2^65 - 2 was granted")
    context.require(ashlarReallocarray(nil, .max, .max) == nil, "the largest product was granted")
    context.require(ashlarMalloc(.max) == nil, "malloc of the largest size was granted")
    var block: UnsafeMutableRawPointer? = UnsafeMutableRawPointer(bitPattern: 8)
    for alignment: UInt in [0, 1, 2, 4, 3, 24] {
      context.require(ashlarPosixMemalign(&block, alignment, 8) == 22, "posix_memalign takes an alignment of \(alignment)")
      context.require(block == UnsafeMutableRawPointer(bitPattern: 8), "posix_memalign stored a pointer on failure")
    }
    pool.deallocate(nil)
    context.require(pool.usableSize(of: nil) == 0, "null has usable bytes")
    context.require(pool.statistics().total.liveBlocks == before, "blocks are left over")
  }

  static let outOfMemory = Check(
    "out-of-memory", "each memory call to the system fails, once and from then on, until none is left to fail"
  ) { context in
    for onwards in [false, true] {
      var call = 1
      while call < 10_000 {
        if !requestsSurvive(failing: call, onwards: onwards, context) { break }
        call += 1
      }
      context.count(call)
    }
    context.require(PoolAllocator().checkInvariants(), "the heap's records do not agree")
  }

  /// One scenario over all levels with the `call`th system call failing. False when it needed fewer calls.
  private static func requestsSurvive(failing call: Int, onwards: Bool, _ context: CheckContext) -> Bool {
    let pool = PoolAllocator()
    pool.trim()
    let live = pool.statistics().total.liveBlocks
    var oracle = Oracle(SwiftSubject(), seed: UInt64(call))
    let calls = PoolAllocator.systemCallCount
    PoolAllocator.injectSystemFault(call: call, onwards: onwards)
    for size in [100, 5000, 1 << 20, 3 << 20, 600 << 20] where oracle.live.count < 5 {
      // Untouched: what is of interest is the records, not the pages.
      guard let block = pool.allocateIfPossible(size: size, alignment: 64) else { continue }
      pool.deallocate(block)
    }
    for size in [16, 3000, 70_000, 2 << 20] { oracle.allocate(size: size, alignment: 1 << 17) }
    if !oracle.live.isEmpty { oracle.reallocate(0, size: 200_000) }
    pool.trim()
    PoolAllocator.liftSystemFaults()
    let needed = PoolAllocator.systemCallCount - calls
    context.close(&oracle)
    if let block = pool.allocateIfPossible(size: 600 << 20) {
      pool.deallocate(block)
    } else {
      context.find("memory does not work again after failure \(call)")
    }
    context.require(pool.checkInvariants(), "the heap's records do not agree after failure \(call)")
    context.require(pool.statistics().total.liveBlocks == live, "failure \(call) leaves blocks over")
    return needed >= call
  }
}
