import CAshlar
import Synchronization

/// A mutex of one word that sleeps in the kernel while it is contended (Drepper, "Futexes Are Tricky", mutex 3).
///
/// The word is 0 when free, 1 when held, 2 when held and somebody may be asleep. It lies in memory that is
/// never unmapped, so a late waker does no harm. Not reentrant, not fair. Safe across `fork` when every lock is
/// taken before it and released on both sides after it.
package struct Lock {
  private let atomic: UnsafeMutablePointer<Atomic<UInt32>>

  /// `word` must be zero at first, and be used as nothing but this lock.
  @inline(__always)
  package init(_ word: SharedWord) {
    atomic = word.address.assumingMemoryBound(to: Atomic<UInt32>.self)
  }

  @inline(__always)
  package func acquire() {
    if !tryAcquire() { acquireContended() }
  }

  @inline(__always)
  package func tryAcquire() -> Bool {
    atomic.pointee.compareExchange(expected: 0, desired: 1, ordering: .acquiring).exchanged
  }

  @inline(never)
  private func acquireContended() {
    // A short spin first: the sections are short, and a sleep costs more than any of them.
    for _ in 0..<64 {
      if atomic.pointee.load(ordering: .relaxed) == 0, tryAcquire() { return }
      ashlar_relax()
    }
    while atomic.pointee.exchange(2, ordering: .acquiring) != 0 {
      ashlar_os_wait(UnsafeMutableRawPointer(atomic), 2)
    }
  }

  @inline(__always)
  package func release() {
    if atomic.pointee.exchange(0, ordering: .releasing) == 2 {
      ashlar_os_wake(UnsafeMutableRawPointer(atomic))
    }
  }

  /// Runs `body` with the lock held.
  @inline(__always)
  package func withLock<Result: ~Copyable>(_ body: () -> Result) -> Result {
    acquire()
    defer { release() }
    return body()
  }
}
