import Ashlar
import CPoolPeers

/// Rounds of requests that are all given back at their end, as those of a server's request are.
public enum ArenaWorkloads {
  /// Sizes of the requests of a round: 16 to 256 B, small ones more often.
  public static let sizes: [Int] = {
    var state: UInt64 = 7
    return (0..<1000).map { _ in
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      let bits = Int(state >> 33) % 5
      return 16 << bits / (1 + Int(state >> 40) % 2)
    }.map { max(16, $0) }
  }()

  @inline(never)
  public static func rounds(_ arena: borrowing Arena, _ sizes: UnsafeBufferPointer<Int>, _ rounds: Int) {
    for _ in 0..<rounds {
      for index in 0..<sizes.count {
        guard let block = try? arena.allocate(size: sizes[index]) else { fatalError("no memory") }
        block.storeBytes(of: index, as: Int.self)
      }
      arena.reset()
    }
  }

  /// Nothing is reset: other threads' blocks stay. The arena is reset by one thread between two measurements.
  @inline(never)
  public static func rounds(_ arena: SharedArena, _ sizes: UnsafeBufferPointer<Int>, _ rounds: Int) {
    for _ in 0..<rounds {
      for index in 0..<sizes.count {
        guard let block = try? arena.allocate(size: sizes[index]) else { fatalError("no memory") }
        block.storeBytes(of: index, as: Int.self)
      }
    }
  }
}
