/// A sequence of random words that a seed repeats (SplitMix64, Steele et al. 2014).
struct SplitMix: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var word = state
    word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
    word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
    return word ^ (word >> 31)
  }

  /// A number below `count`.
  mutating func below(_ count: Int) -> Int { Int(truncatingIfNeeded: next() % UInt64(count)) }
}

extension UInt8 {
  /// The number of the `index`th bit that is set, from below.
  func setBit(_ index: Int) -> Int {
    var mask = self
    for _ in 0..<index { mask &= mask &- 1 }
    return mask.trailingZeroBitCount
  }
}

/// Each choice by lot; a later store twice as often as all the others together.
final class RandomWalk: Chooser {
  private var random: SplitMix

  init(seed: UInt64) { random = SplitMix(seed: seed) }

  func chooseThread(_ engine: Engine, enabled: UInt8) -> Int { enabled.setBit(random.below(enabled.nonzeroBitCount)) }

  func chooseValue(_ count: Int) -> Int { random.below(3) > 0 ? 0 : 1 + random.below(count - 1) }
}

/// Random priorities with `depth - 1` random changes (Burckhardt et al., "A Randomized Scheduler with Probabilistic
/// Guarantees of Finding Bugs", 2010): a bug of that depth in n threads and k steps is met with a probability of at least
/// 1 / (n · k^(depth-1)).
final class PriorityWalk: Chooser {
  private var random: SplitMix
  private let depth: Int
  private var priorities = SIMD8<Int32>()
  private var changes: [Int] = []
  private var steps = 0
  /// Steps of the longest execution so far: where changes may fall.
  private var longest = 16

  init(seed: UInt64, depth: Int) {
    random = SplitMix(seed: seed)
    self.depth = depth
  }

  func begin() {
    longest = max(longest, steps)
    steps = 0
    var order = Array(0..<Int32(Clock.threads))
    order.shuffle(using: &random)
    for thread in 0..<Clock.threads { priorities[thread] = Int32(depth) + order[thread] }
    changes = (1..<max(depth, 1)).map { _ in random.below(longest) }
  }

  func chooseThread(_ engine: Engine, enabled: UInt8) -> Int {
    steps += 1
    for (rank, change) in changes.enumerated() where change == steps { priorities[engine.current] = Int32(rank) }
    // Who gave way goes last, or it would spin for ever on the lower ones.
    if engine.current > 0, engine.threads[engine.current].pending.kind == .pause { priorities[engine.current] = -Int32(steps) }
    var best = enabled.trailingZeroBitCount
    for thread in 0..<Clock.threads where enabled & (1 << UInt8(thread)) != 0 && priorities[thread] > priorities[best] {
      best = thread
    }
    return best
  }

  func chooseValue(_ count: Int) -> Int { random.below(4) > 0 ? 0 : 1 + random.below(count - 1) }
}

/// Choices from the bytes of a fuzzer, one each; where they end, the plainest.
final class ByteWalk: Chooser {
  private let bytes: [UInt8]
  private var next = 0

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  func begin() { next = 0 }

  private func take() -> Int? {
    guard next < bytes.count else { return nil }
    next += 1
    return Int(bytes[next - 1])
  }

  // Small bytes go on as before: an input of zeros is the plainest execution.
  func chooseThread(_ engine: Engine, enabled: UInt8) -> Int {
    guard enabled.nonzeroBitCount > 1, let byte = take(), byte >= 0x80 else { return engine.plainChoice(enabled) }
    return enabled.setBit(byte % enabled.nonzeroBitCount)
  }

  func chooseValue(_ count: Int) -> Int { (take() ?? 0) % count }
}
