import CAshlar

extension Heap {
  /// The calling thread's cache, if it has one.
  func cacheIfAny() -> ThreadCache? {
    let cache = ThreadCache.current
    return cache.isEmptyCache ? nil : cache
  }

  /// The calling thread's cache, adopted or made at its first call; nil once the thread has given it back at its
  /// exit, or when memory is out.
  func cacheOfThread() -> ThreadCache? { cacheIfAny() ?? attach() }

  private func attach() -> ThreadCache? {
    guard ashlar_exited() == 0, let cache = registry.adopt(capacity: { capacity(of: $0) }) else { return nil }
    // First, so that calls from within the next one find it.
    ashlar_set_cache(cache.address)
    guard ashlar_watch_thread_exit(cache.address) != 0 else {
      // Nobody would bring the blocks home: this thread does without.
      detach(cache)
      return nil
    }
    return cache
  }

  private func capacity(of sizeClass: SizeClass) -> Int {
    (2 * sizeClass.batch * switches.cachePercent + 99) / 100
  }

  // Thread-local destructors that run later still allocate and free: without a cache, straight from the slabs.
  fileprivate func detach(_ cache: ThreadCache) {
    ashlar_set_exited(1)
    ashlar_set_cache(ashlar_no_cache())
    flushAll(cache)
    registry.abandon(cache)
  }

  /// Records where blocks are allocated from now on, or stops and forgets. While it is on, no call takes the hot path.
  package func setTracking(_ on: Bool) {
    // Nothing is recorded while the hot path, which forgets nothing, is still open.
    if on { registry.setRoutes { false } }
    tracker.setEnabled(on)
    updateRoutes()
  }

  /// Opens the hot path unless something wants to see every call.
  func updateRoutes() { registry.setRoutes { !tracker.isEnabled && policy.interval != 1 } }

  // MARK: Fork

  // Every lock is taken before a fork and released on both sides after it, so that the child finds none held by a
  // thread that it does not have. Caches of those threads are lost to the child, with what they held.
  private func forEachLock(_ body: (Lock) -> Void) {
    body(tracker.lock)
    body(registry.lock)
    body(guarded.lock)
    body(pages.lock)
    for index in 0..<SizeClass.count { body(slabs.lock(SizeClass(index: index))) }
    body(pool.lock)
    body(metadata.lock)
    body(direct.lock)
    body(PendingUnmaps.lock)
  }

  // Where pairs are guarded by locks (ASHLAR_LOCKED_PAIRS): innermost, held for a few instructions.
  private func forEachPairLock(_ body: (Lock) -> Void) {
    depots.forEachPair { pair in if let lock = HardwareMemory.lock(of: pair) { body(lock) } }
    buddy.tables.forEachPair { pair in if let lock = HardwareMemory.lock(of: pair) { body(lock) } }
  }

  static func installHooks() {
    ashlar_install_hooks(
      ashlar_hooks(
        thread_exit: { cache in
          guard let cache else { return }
          Heap.ready.pointee.detach(ThreadCache(cache))
        },
        before_fork: {
          // The merge worker comes after the pool, whose lock may be held by who waits for it.
          Heap.ready.pointee.forEachLock { $0.acquire() }
          Heap.ready.pointee.buddy.becomeWorker()
          Heap.ready.pointee.forEachPairLock { $0.acquire() }
        },
        after_fork: { inChild in
          Heap.ready.pointee.forEachPairLock { $0.release() }
          if inChild != 0 {
            Heap.ready.pointee.buddy.repairAfterFork()
            Heap.ready.pointee.registry.giveUpOthers()
          }
          Heap.ready.pointee.buddy.resign()
          Heap.ready.pointee.forEachLock { $0.release() }
        },
        process_exit: { Heap.ready.pointee.reportAtExit() },
        forbidden_access: { address in
          guard let fault = Heap.ready.pointee.pages.fault(accessing: UInt(bitPattern: address)) else { return 0 }
          fault.report()
          return 1
        }))
  }

  private func reportAtExit() {
    if switches.statistics { printStatistics() }
    if tracker.isEnabled { _ = tracker.report() }
    _ = reportDamage(.exit)
  }
}
