/// A mutex of one word that sleeps in the kernel while it is contended (Drepper, "Futexes Are Tricky", mutex 3).
///
/// The word is 0 when free, 1 when held, 2 when held and somebody may be asleep. Not reentrant, not fair.
package struct FutexLock<Memory: SharedMemory> {
  private let word: SharedWord

  /// `word` must be zero at first, and be used as nothing but this lock.
  @inline(__always)
  package init(_ word: SharedWord) { self.word = word }

  @inline(__always)
  package func acquire() {
    if !tryAcquire() { acquireContended() }
  }

  @inline(__always)
  package func tryAcquire() -> Bool { Memory.compareExchange(word, expected: 0, desired: 1, .acquiring) == 0 }

  @inline(never)
  private func acquireContended() {
    // A short spin first: the sections are short, and a sleep costs more than any of them.
    for _ in 0..<Memory.spins {
      if Memory.load(word) == 0, tryAcquire() { return }
      Memory.relax()
    }
    while Memory.exchange(2, in: word, .acquiring) != 0 { Memory.wait(word, while: 2) }
  }

  @inline(__always)
  package func release() {
    if Memory.exchange(0, in: word, .releasing) == 2 { Memory.wake(word) }
  }
}
