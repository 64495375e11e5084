import Ashlar

extension Check {
  static let fragmentation = Check(
    "fragmentation", "1,200 blocks of three size ranges and six alignments, half freed at random, 600 more, all freed"
  ) { context in
    for repetition in 0..<context.share(of: 4) {
      var generator = context.generator(repetition)
      var oracle = Oracle(SwiftSubject(), seed: generator.next())
      let ranges = [16...256, 1024...16_384, 65_536...(2 << 20)]
      let alignments = [16, 64, 256, 4096, 16_384, 65_536]
      func allocate(_ count: Int) {
        for number in 0..<count {
          let size = Int.random(in: ranges[number % 3], using: &generator)
          if oracle.allocate(size: size, alignment: alignments.randomElement(using: &generator)!) == nil {
            context.find("no block of \(size) bytes")
          }
        }
      }
      allocate(1200)
      for _ in 0..<600 { oracle.free(Int.random(in: 0..<oracle.live.count, using: &generator)) }
      allocate(600)
      context.close(&oracle)
      context.count(1800)
      context.advance(repetition, of: context.share(of: 4))
    }
    context.require(PoolAllocator().checkInvariants(), "the heap's records do not agree")
  }

  static let largeFragmentation = Check(
    "large-fragmentation", "100 requests of 1 MiB to 1 GiB, half freed, 50 more; what can't be served fails cleanly"
  ) { context in
    var generator = context.generator()
    let pool = PoolAllocator()
    let before = pool.statistics().total.liveBlocks
    var live: [(block: UnsafeMutableRawPointer, size: Int)] = []
    var refused = 0
    // Only the ends are touched: the requests add up to more than most machines have.
    func allocate(_ count: Int) {
      for _ in 0..<count {
        let size = generator.logarithmic(in: (1 << 20)...(1 << 30))
        guard let block = pool.allocateIfPossible(size: size) else {
          refused += 1
          continue
        }
        block.storeBytes(of: size, as: Int.self)
        block.storeBytes(of: size, toByteOffset: size / 8 * 8 - 8, as: Int.self)
        live.append((block, size))
      }
    }
    func free(_ index: Int) {
      let (block, size) = live.remove(at: index)
      let isIntact = block.load(as: Int.self) == size && block.load(fromByteOffset: size / 8 * 8 - 8, as: Int.self) == size
      context.require(isIntact, "a block of \(size) bytes has changed")
      pool.deallocate(block)
    }
    allocate(100)
    for _ in 0..<(live.count / 2) { free(Int.random(in: 0..<live.count, using: &generator)) }
    allocate(50)
    while !live.isEmpty { free(live.count - 1) }
    context.count(150)
    context.note("\(refused) refused")
    context.require(pool.statistics().total.liveBlocks == before, "blocks are left over")
    context.require(pool.checkInvariants(), "the heap's records do not agree")
  }
}
