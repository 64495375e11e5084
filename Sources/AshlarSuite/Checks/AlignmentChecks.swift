import Ashlar

extension Check {
  /// Rounds that one thread does alone, and that each of several does together.
  static let roundsAlone = 100_000
  static let roundsTogether = 80_000

  static let alignmentAlone = Check(
    "alignment-alone", "\(roundsAlone) blocks of 1 B to 1 MiB and beyond, aligned to 2 B to 64 KiB and past it"
  ) { context in
    alignmentRounds(context, thread: 0, rounds: context.share(of: roundsAlone))
  }

  static let alignmentTogether = Check(
    "alignment-threads", "the same, \(roundsTogether) on each of 4 threads together"
  ) { context in
    Threads.run(4) { thread in alignmentRounds(context, thread: thread, rounds: context.share(of: roundsTogether)) }
  }

  /// Allocates, keeps up to 64 blocks live, and gives back at random; sizes and alignments are logarithmic.
  static func alignmentRounds(_ context: CheckContext, thread: Int, rounds: Int) {
    var generator = context.generator(thread)
    var oracle = Oracle(SwiftSubject(), seed: generator.next())
    for round in 0..<rounds {
      let exponent = Int.random(in: 1...100, using: &generator)
      // One in a hundred past 64 KiB, where mappings of their own begin.
      let alignment = exponent == 100 ? 1 << Int.random(in: 17...22, using: &generator) : 1 << (exponent % 16 + 1)
      let largest = Int.random(in: 0..<1000, using: &generator) == 0 ? 4 << 20 : 1 << 20
      // Writing every byte of a mebibyte each time would hide the allocator behind memset.
      let size = generator.logarithmic(in: 1...largest)
      let kept = size > 32 << 10 && round % 16 != 0 ? min(size, 4096) : size
      if oracle.allocate(size: kept, alignment: alignment) == nil {
        context.find("no block of \(kept) bytes aligned to \(alignment)")
      }
      while oracle.live.count > 64 || (!oracle.live.isEmpty && Bool.random(using: &generator)) {
        oracle.free(Int.random(in: 0..<oracle.live.count, using: &generator))
      }
      if thread == 0 { context.advance(round, of: rounds) }
    }
    context.close(&oracle)
    context.count(rounds)
  }
}
