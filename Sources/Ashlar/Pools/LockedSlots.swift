/// Slots that any thread may take and put back, one at a time, under a lock that lies among their records.
///
/// Thread-safe. No lock is held while anything is reported: what there is to report is answered.
package struct LockedSlots<Memory: SharedMemory> {
  private let slots: SlotPool<Memory>
  private var lock: Lock<Memory> { Lock(slots.lock) }

  package init(_ slots: SlotPool<Memory>) { self.slots = slots }

  package func take() -> (slot: UnsafeMutableRawPointer, damage: Fault?)? {
    lock.withLock { slots.isWatched ? slots.takeWatched() : slots.take().map { ($0, nil) } }
  }

  /// What is wrong with the slot; nil where it was taken back.
  package func put(_ slot: UnsafeRawPointer) -> Fault? {
    lock.withLock { slots.put(slot) ? nil : slots.fault(of: slot) }
  }

  /// What would be wrong with putting the slot back; nil where it is live.
  package func fault(of slot: UnsafeRawPointer) -> Fault? {
    lock.withLock { slots.isLive(slot) ? nil : slots.fault(of: slot) }
  }

  package var counts: (slots: Int, live: Int, peak: Int, taken: Int) { lock.withLock { slots.counts } }

  /// As `SlotPool.touch`; false when there are fewer slots left.
  package func touch(_ count: Int) -> Bool {
    lock.withLock {
      guard slots.counts.slots - slots.counts.live >= count else { return false }
      slots.touch(count)
      return true
    }
  }

  package func checkInvariants() -> Bool { lock.withLock { slots.checkInvariants() } }
}
