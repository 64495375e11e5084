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

  static let misaligned = Check("misaligned", "frees of every address between a block's start and its next granule: one report each, and no effect") {
    context in
    let pool = PoolAllocator()
    for size in [64, 5000, 2 << 20, 600 << 20] {
      guard let block = pool.allocateIfPossible(size: size) else { return context.find("no memory") }
      let usable = pool.usableSize(of: block)
      for offset in 1..<16 {
        let faults = FaultRecorder.record { pool.deallocate(block + offset) }
        context.require(faults.map(\.kind) == ["invalid pointer"], "byte \(offset) of a block of \(size) freed is reported as \(faults)")
        context.require(pool.usableSize(of: block) == usable, "the block of \(size) is gone")
        context.count(1)
      }
      pool.deallocate(block)
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
    do throws(AllocationError) {
      _ = try Buffer<Int>(count: (1 << 61) + 1, allocator: pool)
      context.find("a buffer of 2^64 bytes was granted")
    } catch {
      context.require(error == .invalidSize, "a buffer of 2^64 bytes: \(error)")
    }
    pool.deallocate(nil)
    context.require(pool.usableSize(of: nil) == 0, "null has usable bytes")
    context.require(pool.statistics().total.liveBlocks == before, "blocks are left over")
  }
}
