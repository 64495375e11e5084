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
    ashlar_set_cache(cache.address)
    ashlar_watch_thread_exit(cache.address)
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
    if on { registry.setRoutes(open: false) }
    tracker.setEnabled(on)
    if !on { registry.setRoutes(open: true) }
  }

  // MARK: Fork

  // Every lock is taken before a fork and released on both sides after it, so that the child finds none held by a
  // thread that it does not have. Caches of those threads are lost to the child, with what they held.
  private func forEachLock(_ body: (Lock) -> Void) {
    body(tracker.lock)
    body(registry.lock)
    for index in 0..<SizeClass.count { body(slabs.lock(SizeClass(index: index))) }
    body(pool.lock)
    body(metadata.lock)
    body(direct.lock)
  }

  static func installHooks() {
    ashlar_install_hooks(
      ashlar_hooks(
        thread_exit: { cache in
          guard let cache else { return }
          Heap.ready.pointee.detach(ThreadCache(cache))
        },
        before_fork: {
          // The merge worker comes last: the pool's lock may be held by who waits for it.
          Heap.ready.pointee.forEachLock { $0.acquire() }
          Heap.ready.pointee.buddy.becomeWorker()
        },
        after_fork: { inChild in
          if inChild != 0 { Heap.ready.pointee.buddy.repairAfterFork() }
          Heap.ready.pointee.buddy.resign()
          Heap.ready.pointee.forEachLock { $0.release() }
        },
        process_exit: { Heap.ready.pointee.reportAtExit() }))
  }

  private func reportAtExit() {
    if switches.statistics { printStatistics() }
    if tracker.isEnabled { _ = tracker.report() }
  }
}
