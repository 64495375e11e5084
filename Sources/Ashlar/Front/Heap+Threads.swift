import CAshlar

extension Heap {
  /// The calling thread's cache, if it has one.
  func cacheIfAny() -> ThreadCache<Memory>? {
    let cache = ThreadCache<Memory>.current
    return cache.isEmptyCache ? nil : cache
  }

  /// The calling thread's cache, adopted or made at its first call; nil once the thread has given it back at its
  /// exit, or when memory is out.
  package func cacheOfThread() -> ThreadCache<Memory>? { cacheIfAny() ?? attach() }

  private func attach() -> ThreadCache<Memory>? {
    guard !Memory.hasExited, let cache = registry.adopt(capacity: { capacity(of: $0) }) else { return nil }
    // First, so that calls from within the next one find it.
    Memory.cache = cache.address
    guard Memory.watchThreadExit(cache.address) else {
      // Nobody would bring the blocks home: this thread does without.
      detach(cache)
      return nil
    }
    cache.armFirst()
    return cache
  }

  private func capacity(of sizeClass: SizeClass) -> Int {
    (2 * sizeClass.batch * switches.cachePercent + 99) / 100
  }

  /// Empties the calling thread's cache, at its exit, and leaves it for another thread.
  // Thread-local destructors that run later still allocate and free: without a cache, straight from the slabs.
  package func detach(_ cache: ThreadCache<Memory>) {
    Memory.hasExited = true
    Memory.cache = ashlar_no_cache()
    flushAll(cache)
    registry.abandon(cache)
  }

  /// Records where blocks are allocated from now on, or stops and forgets. While it is on, no call takes the hot path.
  package func setTracking(_ on: Bool) {
    // Nothing is recorded while the hot path, which forgets nothing, is still open.
    registry.setOpen { false }
    tracker.setEnabled(on)
    updateRoutes()
  }

  /// Opens the hot path unless something wants to see every call.
  package func updateRoutes() { registry.setOpen { !tracker.isEnabled && policy.interval != 1 } }

  // MARK: Fork

  // Every lock is taken before a fork and released on both sides after it, so that the child finds none held by a
  // thread that it does not have. Caches of those threads are lost to the child, with what they held.
  private func forEachLock(_ body: (Lock<Memory>) -> Void) {
    body(tracker.lock)
    body(registry.lock)
    body(guarded.lock)
    body(pages.lock)
    for index in 1...SizeClass.count { body(slabs.lock(SizeClass(index: SizeClass.count - index))) }
    body(pool.lock)
    body(metadata.lock)
    body(direct.lock)
  }

  /// Takes every lock, on behalf of the thread that forks.
  package func beforeFork() {
    forEachLock { $0.acquire() }
    // The merge worker comes after the pool, whose lock may be held by who waits for it.
    buddy.becomeWorker()
  }

  /// Releases what `beforeFork` took, and gives up in the child what belonged to threads that it does not have.
  package func afterFork(inChild: Bool) {
    if inChild {
      buddy.repairAfterFork()
      registry.giveUpOthers()
    }
    buddy.resign()
    forEachLock { $0.release() }
  }
}
