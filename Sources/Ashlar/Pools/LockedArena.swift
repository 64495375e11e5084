/// An arena's memory that any thread may take from, one at a time, under a lock that lies among its words.
///
/// Thread-safe. No lock is held while anything is reported.
package struct LockedArena<Memory: SharedMemory> {
  private let memory: ArenaMemory<Memory>
  private var lock: Lock<Memory> { Lock(memory.chunks.lock) }

  package init(_ memory: ArenaMemory<Memory>) { self.memory = memory }

  /// See `ArenaMemory.allocateSlowly`; what was found in the bytes goes to `damage`, when the lock is free again.
  package func allocate(
    _ size: Int, _ alignment: Int, damage: (Fault) -> Void
  ) throws(AllocationError) -> UnsafeMutableRawPointer {
    var found: Fault?
    let result = lock.withLock {
      Result { () throws(AllocationError) in try memory.allocateSlowly(size, alignment) { found = $0 } }
    }
    if let found { damage(found) }
    return try result.get()
  }

  package func reset() { lock.withLock { memory.chunks.reset() } }
  package func releaseChunks() { lock.withLock { memory.releaseChunks() } }
  package var counts: (chunks: Int, bytes: Int, used: Int) { lock.withLock { memory.chunks.counts } }
  package func checkInvariants() -> Bool { lock.withLock { memory.chunks.checkInvariants() } }
}
