import Glibc
import Synchronization

/// Where a fixed number of threads meet again and again, spinning, so that they leave it within nanoseconds of each
/// other.
final class Rendezvous: Sendable {
  private let parties: Int
  private let arrived = Atomic<Int>(0)
  private let round = Atomic<Int>(0)

  init(parties: Int) { self.parties = parties }

  /// Waits for all the others.
  func meet() {
    let current = round.load(ordering: .relaxed)
    if arrived.wrappingAdd(1, ordering: .acquiringAndReleasing).newValue == parties {
      arrived.store(0, ordering: .relaxed)
      round.store(current + 1, ordering: .releasing)
      return
    }
    var spins = 0
    while round.load(ordering: .acquiring) == current {
      spins += 1
      // More threads than processors: whoever is missing needs one.
      if spins % 4096 == 0 { sched_yield() }
    }
  }
}
