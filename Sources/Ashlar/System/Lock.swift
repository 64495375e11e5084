/// A mutual exclusion of one word: a `FutexLock`, on the machine's own memory.
///
/// The word lies in memory that is never unmapped, so a late waker does no harm. Not reentrant, not fair. Safe across
/// `fork` when every lock is taken before it and released on both sides after it.
package struct Lock<Memory: SharedMemory> {
  private let word: SharedWord

  /// `word` must be zero at first, and be used as nothing but this lock.
  @inline(__always)
  package init(_ word: SharedWord) { self.word = word }

  @inline(__always)
  package func acquire(file: StaticString = #fileID, line: UInt32 = #line) {
    Memory.acquire(word, at: SourceLine(file, line))
  }

  @inline(__always)
  package func tryAcquire(file: StaticString = #fileID, line: UInt32 = #line) -> Bool {
    Memory.tryAcquire(word, at: SourceLine(file, line))
  }

  @inline(__always)
  package func release(file: StaticString = #fileID, line: UInt32 = #line) {
    Memory.release(word, at: SourceLine(file, line))
  }

  /// Runs `body` with the lock held.
  @inline(__always)
  package func withLock<Result: ~Copyable>(
    file: StaticString = #fileID, line: UInt32 = #line, _ body: () -> Result
  ) -> Result {
    acquire(file: file, line: line)
    defer { release(file: file, line: line) }
    return body()
  }
}
