import Ashlar

/// Collects the faults that the heap reports, instead of dying of the first.
///
/// The handler is process-wide, so recordings take turns.
enum FaultRecorder {
  private static let turn = Guarded(())
  private static let faults = Guarded<[MemoryFault]>([])

  /// Runs `body` and answers what was reported meanwhile, by any thread.
  static func record(_ body: () -> Void) -> [MemoryFault] {
    turn.withLock { _ in
      faults.withLock { $0 = [] }
      PoolAllocator.setFaultHandler { fault in faults.withLock { $0.append(fault) } }
      defer { PoolAllocator.setFaultHandler(nil) }
      body()
      return take()
    }
  }

  /// While recording: what was reported since it began, or since the last call.
  static func take() -> [MemoryFault] {
    faults.withLock { recorded in
      defer { recorded = [] }
      return recorded
    }
  }
}
