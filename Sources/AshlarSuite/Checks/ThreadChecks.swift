import Ashlar

extension Check {
  static let threads = Check("threads", "5,000 mixed operations on each of 8 threads, 10 times over") { context in
    for repetition in 0..<context.share(of: 10) {
      Threads.run(8) { thread in
        var generator = context.generator(repetition * 8 + thread)
        var oracle = Oracle(SwiftSubject(), seed: generator.next())
        for _ in 0..<5000 {
          if oracle.live.count < 200, Bool.random(using: &generator) {
            oracle.allocate(
              size: generator.logarithmic(in: 1...(64 << 10)), alignment: 1 << Int.random(in: 0...12, using: &generator))
          } else if !oracle.live.isEmpty {
            oracle.free(Int.random(in: 0..<oracle.live.count, using: &generator))
          }
        }
        context.close(&oracle)
        context.count(5000)
      }
      context.advance(repetition, of: context.share(of: 10))
    }
  }

  static let handOver = Check(
    "hand-over", "blocks of all sizes filled by one thread, verified and freed by another, while threads come and go"
  ) { context in
    let exchange = Exchange()
    for repetition in 0..<context.share(of: 10) {
      Threads.run(4) { thread in
        var generator = context.generator(repetition * 4 + thread)
        for _ in 0..<20_000 {
          let size = Int.random(in: 0..<100, using: &generator) == 0
            ? Int.random(in: 1...(2 << 20), using: &generator) : generator.logarithmic(in: 8...2048)
          guard let block = PoolAllocator().allocateIfPossible(size: size) else {
            context.find("no block of \(size) bytes")
            return
          }
          let parcel = Parcel(block: UInt(bitPattern: block), size: min(size, 2048), seed: generator.next())
          Pattern.fill(block, 0..<parcel.size, seed: parcel.seed)
          if let other = exchange.swap(parcel, Int(generator.next() % 1024)) { accept(other, context) }
        }
        context.count(20_000)
      }
      context.advance(repetition, of: context.share(of: 10))
    }
    exchange.takeAll().forEach { accept($0, context) }
    context.require(PoolAllocator().checkInvariants(), "the heap's records do not agree")
  }

  // Of blocks that lie side by side every thread is handed one, frees it, and goes on with blocks of that class.
  static let sharedLines = Check(
    "shared-lines", "threads that free neighbours end up with blocks in lines of their own"
  ) { context in
    let pool = PoolAllocator()
    // What is in no stack comes in stretches.
    pool.trim()
    // A thread looks at the first block that it takes, and again when it has taken a thousand.
    for (size, rounds) in [8, 16, 32, 48].flatMap({ [($0, 1), ($0, 3000)] }) {
      let blocks = (0..<64).map { _ in UInt(bitPattern: pool.allocateIfPossible(size: size)!) }
      let given = [20, 21]
      let ends = SharedCount()
      Threads.run(given.count) { thread in
        var block = UnsafeMutableRawPointer(bitPattern: blocks[given[thread]])!
        for _ in 0..<rounds {
          pool.deallocate(block)
          block = pool.allocateIfPossible(size: size)!
        }
        let line = UInt(bitPattern: block) / 64
        if blocks.contains(where: { $0 / 64 == line }) { ends.add(1) }
        pool.deallocate(block)
      }
      context.require(ends.value == 0, "\(ends.value) threads write to a line of another's after \(rounds) blocks of \(size)")
      for (number, block) in blocks.enumerated() where !given.contains(number) {
        pool.deallocate(UnsafeMutableRawPointer(bitPattern: block)!)
      }
      context.count(2 * rounds)
    }
  }

  private static func accept(_ parcel: Parcel, _ context: CheckContext) {
    let block = UnsafeMutableRawPointer(bitPattern: parcel.block)!
    if let offset = Pattern.firstDifference(block, 0..<parcel.size, seed: parcel.seed) {
      context.find("byte \(offset) of a block changed on its way to another thread")
    }
    PoolAllocator().deallocate(block)
  }
}
