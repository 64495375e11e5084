import Ashlar

extension Check {
  static let operations = Check(
    "operations", "mixed operations on all four levels against the oracle, every byte verified"
  ) { context in
    mixedOperations(context, SwiftSubject(), operations: context.share(of: 400_000))
    blocksOfEveryLevel(context, SwiftSubject())
  }

  static let operationsInC = Check(
    "operations-c", "the same through malloc, calloc, realloc, aligned_alloc and free"
  ) { context in
    mixedOperations(context, CSubject(), operations: context.share(of: 400_000))
  }

  static func mixedOperations(_ context: CheckContext, _ subject: any Subject, operations: Int) {
    var generator = context.generator()
    var oracle = Oracle(subject, seed: generator.next(), whenFound: context.find)
    for operation in 0..<operations {
      let index = oracle.live.isEmpty ? 0 : Int.random(in: 0..<oracle.live.count, using: &generator)
      switch Int.random(in: 0..<100, using: &generator) {
      case 0..<45 where oracle.live.count < 2000:
        oracle.allocate(
          size: size(&generator), alignment: 1 << Int.random(in: 0...12, using: &generator),
          zeroed: Bool.random(using: &generator))
      case 45..<60 where !oracle.live.isEmpty:
        oracle.reallocate(index, size: size(&generator))
      case 60..<99 where !oracle.live.isEmpty:
        oracle.free(index, sized: Bool.random(using: &generator))
      case 99 where operation % 20 == 0:
        subject.trim()
      default:
        if !oracle.live.isEmpty { oracle.verify(oracle.live[index]) }
      }
      context.advance(operation, of: operations)
    }
    context.require(oracle.refusals == 0, "\(oracle.refusals) requests were refused")
    context.close(&oracle)
    context.count(operations)
  }

  // Mostly small, sometimes medium: a byte is written and read for each byte asked.
  private static func size(_ generator: inout SeededGenerator) -> Int {
    switch Int.random(in: 0..<1000, using: &generator) {
    case 0..<900: generator.logarithmic(in: 0...4096)
    case 900..<995: generator.logarithmic(in: 1...(128 << 10))
    case 995..<999: generator.logarithmic(in: 1...(1 << 20))
    default: Int.random(in: (1 << 20)...(3 << 20), using: &generator)
    }
  }

  /// One block of each kind that is too large for the mix, zeroed and not, written and verified: whole, where the check is
  /// done in full.
  private static func blocksOfEveryLevel(_ context: CheckContext, _ subject: any Subject) {
    let mebibyte = 1 << 20
    for size in [mebibyte, mebibyte + 1, 5 * mebibyte, 64 * mebibyte, 512 * mebibyte, 512 * mebibyte + 1, 1025 * mebibyte] {
      guard size * 2 < ProcessMemory.available else {
        context.note("too little memory for blocks of \(size >> 20) MiB")
        continue
      }
      var oracle = Oracle(subject, seed: context.seed, wholeBelow: context.share(of: 1025 * mebibyte))
      for zeroed in [false, true] where oracle.allocate(size: size, alignment: 4096, zeroed: zeroed) == nil {
        context.find("no block of \(size) bytes")
      }
      context.close(&oracle)
      context.count(2)
    }
  }

  static let boundaries = Check(
    "boundaries", "first and last byte of small, medium, 256 MiB and over-aligned blocks"
  ) { context in
    let pool = PoolAllocator()
    var shapes: [(size: Int, alignment: Int)] = []
    for size in PoolAllocator.sizeClasses { shapes += [(size, 16), (size - 1, 16), (size + 1, 16), (size, 4096), (size, 65536)] }
    for order in 0...8 { shapes += [(1 << (20 + order), 16), ((1 << (20 + order)) + 1, 65536), ((1 << (20 + order)) + 1, 1)] }
    for exponent in 17...26 { shapes += [(1, 1 << exponent), (100_000, 1 << exponent)] }
    for (number, shape) in shapes.enumerated() {
      guard let block = pool.allocateIfPossible(size: shape.size, alignment: shape.alignment) else {
        context.find("no block of \(shape.size) bytes aligned to \(shape.alignment)")
        continue
      }
      let usable = pool.usableSize(of: block)
      context.require(usable >= shape.size, "a block of \(shape.size) has \(usable) usable bytes")
      let neighbour = pool.allocateIfPossible(size: shape.size > 1 << 20 ? 16 : shape.size, alignment: 16)
      neighbour?.storeBytes(of: 0x5A, as: UInt8.self)
      for offset in [0, shape.size - 1, pool.usableSize(of: block) - 1] {
        block.storeBytes(of: UInt8(truncatingIfNeeded: number), toByteOffset: offset, as: UInt8.self)
        context.require(
          block.load(fromByteOffset: offset, as: UInt8.self) == UInt8(truncatingIfNeeded: number),
          "byte \(offset) of a block of \(shape.size) does not hold what was written")
      }
      context.require(neighbour?.load(as: UInt8.self) == 0x5A, "writing a block of \(shape.size) changed another")
      pool.deallocate(block, size: shape.size)
      pool.deallocate(neighbour)
      context.count(1)
      context.advance(number, of: shapes.count)
    }
  }
}
