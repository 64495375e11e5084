/// Slots that any thread may take and put back, one at a time, under a lock that lies among their records.
///
/// Thread-safe. No lock is held while anything is reported: what there is to report is answered.
package struct LockedSlots<Memory: SharedMemory> {
  private let slots: SlotPool<Memory>
  private var lock: Lock<Memory> { Lock(slots.lock) }

  package init(_ slots: SlotPool<Memory>) { self.slots = slots }

  /// A slot that the caller owns; nil when all are live. What was found in it goes to `damage`, when the lock is free again.
  @inline(__always)
  package func take(_ damage: (Fault) -> Void) -> UnsafeMutableRawPointer? {
    if slots.isWatched { return takeWatched(damage) }
    return lock.withLock { slots.take() }
  }

  @inline(never)
  private func takeWatched(_ damage: (Fault) -> Void) -> UnsafeMutableRawPointer? {
    var found: Fault?
    let slot = lock.withLock { slots.takeWatched { found = $0 } }
    if let found { damage(found) }
    return slot
  }

  /// Takes a slot back. What is wrong with it, if anything is, goes to `refused`, when the lock is free again.
  @inline(__always)
  package func put(_ slot: UnsafeRawPointer, refused: (Fault) -> Void) {
    lock.acquire()
    let isTaken = slots.isWatched ? slots.putWatched(slot) : slots.put(slot)
    if isTaken { return lock.release() }
    let fault = slots.fault(of: slot)
    lock.release()
    refused(fault)
  }

  /// What would be wrong with putting the slot back; nil where it is live.
  package func fault(of slot: UnsafeRawPointer) -> Fault? {
    lock.withLock { slots.isLive(slot) ? nil : slots.fault(of: slot) }
  }

  package var counts: (slots: Int, live: Int, peak: Int, taken: Int) { lock.withLock { slots.counts } }

  /// As `SlotPool.touch`; false when there are fewer slots left.
  package func touch(_ count: Int) -> Bool { lock.withLock { slots.touch(count) } }

  package func checkInvariants() -> Bool { lock.withLock { slots.checkInvariants() } }
}
