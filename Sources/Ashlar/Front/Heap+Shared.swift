import CAshlar

/// The heap that everybody in this process uses.
package typealias ProcessHeap = Heap<HardwareMemory>

extension Heap {
  /// The heap that `start` has made, which the caller knows to have succeeded.
  @inline(__always)
  package static var ready: Heap { Heap(Memory.globals.pointee.heap.unsafelyUnwrapped) }

  /// Makes a heap and shows it to the hot path; false when the system has no memory for one. One thread does it, once.
  package static func start(_ switches: Switches) -> Bool {
    guard let heap = Heap(switches: switches) else { return false }
    let globals = Memory.globals
    globals.pointee.heap = heap.address
    globals.pointee.tags = heap.region.tags
    globals.pointee.blocks = heap.region.base &- UInt(bitPattern: heap.region.tags) &<< RegionLayout.granuleShift
    globals.pointee.region_base = heap.region.base
    // Last, and releasing: whoever sees a range that is not empty sees what lies in it.
    Memory.storeReleasing(
      UInt(heap.region.bytes / RegionLayout.granuleBytes), to: SharedWord(ashlar_region_granules_word(globals)))
    return true
  }
}

// MARK: The process-wide heap

extension Heap where Memory == HardwareMemory {
  @inline(__always)
  private static var lazyStart: LazyStart<Memory> { LazyStart(phase: SharedWord(ashlar_phase_word(Memory.globals))) }

  /// The process-wide heap, started by the first call; nil when the system has no memory to start it with (the next
  /// call tries again). Many threads may make the first call at once.
  @inline(__always)
  package static var shared: Heap? { lazyStart.isReady ? ready : started() }

  @inline(never)
  private static func started() -> Heap? {
    let isReady = lazyStart.ensure(
      in: UInt(bitPattern: Int(ashlar_os_process())), start: startWithHooks, finish: { ready.finishStart() })
    return isReady ? ready : nil
  }

  private static func startWithHooks() -> Bool {
    guard start(.fromEnvironment()) else { return false }
    installHooks()
    return true
  }

  // What may allocate, and so needs the heap to be ready.
  private func finishStart() {
    ashlar_watch_forks()
    if switches.track { setTracking(true) }
    setGuards(canaries: switches.guardInterval, pages: switches.sampleInterval)
  }
}

// MARK: Hooks

extension Heap where Memory == HardwareMemory {
  private static func installHooks() {
    ashlar_install_hooks(
      ashlar_hooks(
        thread_exit: { cache in
          guard let cache else { return }
          ProcessHeap.ready.detach(ThreadCache(cache))
        },
        before_fork: {
          ProcessHeap.ready.beforeFork()
          ProcessHeap.ready.forEachInnermostLock { $0.acquire() }
        },
        after_fork: { inChild in
          ProcessHeap.ready.forEachInnermostLock { $0.release() }
          ProcessHeap.ready.afterFork(inChild: inChild != 0)
        },
        process_exit: { ProcessHeap.ready.reportAtExit() },
        forbidden_access: { address in
          guard let fault = ProcessHeap.ready.pages.fault(accessing: UInt(bitPattern: address))
          else { return 0 }
          fault.report()
          return 1
        }))
  }

  // Held for a few instructions, or for calls of the system, and none is taken meanwhile: those of the pairs, where they
  // have any (ASHLAR_LOCKED_PAIRS), and of the pending unmaps, which are the process's.
  private func forEachInnermostLock(_ body: (Lock<Memory>) -> Void) {
    #if !_hasAtomicBitWidth(_128) || ASHLAR_LOCKED_PAIRS
    depots.forEachPair { body(HardwareMemory.lock(of: $0)) }
    buddy.tables.forEachPair { body(HardwareMemory.lock(of: $0)) }
    #endif
    body(PendingUnmaps.lock)
  }

  package func reportAtExit() {
    if switches.statistics { printStatistics() }
    if tracker.isEnabled { _ = tracker.report() }
    _ = reportDamage(.exit)
  }
}
