/// All thread caches ever made, in a list that only grows.
///
/// A thread that ends leaves its cache, emptied, for the next one that begins; so there are never more caches than
/// there were threads at once, and a reader may walk the list at any time without a lock.
package struct CacheRegistry<Memory: SharedMemory> {
  // Words: lock, first cache, 1 while the hot path is closed.
  private let state: PlainPointer<Memory, UInt>
  private let metadata: MetadataMemory<Memory>

  package static var bytes: Int { 64 }

  /// `state` is `bytes` long and zero.
  package init(state: UnsafeMutableRawPointer, metadata: MetadataMemory<Memory>) {
    self.state = PlainPointer(state)
    self.metadata = metadata
  }

  package var lock: Lock<Memory> { Lock(SharedWord(state)) }
  private var first: SharedWord { SharedWord(state + 1) }

  /// A cache for the calling thread, left behind by another one or new; nil when memory is out. O(threads).
  package func adopt(capacity: (SizeClass) -> Int) -> ThreadCache<Memory>? {
    lock.withLock {
      if let cache = abandoned() {
        Memory.store(1, to: cache.owned)
        return cache
      }
      guard let memory = metadata.take(ThreadCache<Memory>.bytes) else { return nil }
      let cache = ThreadCache<Memory>(memory)
      cache.lay(capacity: capacity)
      cache.setOpen(state[2] == 0)
      Memory.store(1, to: cache.owned)
      Memory.store(Memory.load(first), to: cache.nextCache)
      Memory.storeReleasing(UInt(bitPattern: memory), to: first)
      return cache
    }
  }

  private func abandoned() -> ThreadCache<Memory>? {
    var found: ThreadCache<Memory>?
    visit { cache in
      if Memory.loadAcquiring(cache.owned) == 0 { found = cache }
      return found == nil
    }
    return found
  }

  /// Leaves an emptied cache for another thread.
  package func abandon(_ cache: ThreadCache<Memory>) { Memory.storeReleasing(0, to: cache.owned) }

  /// Opens the hot path of every thread, or closes it, now and for threads to come. `isOpen` is asked under the lock, so
  /// that of two changes at once the later one stands.
  package func setOpen(_ isOpen: () -> Bool) {
    lock.withLock {
      let open = isOpen()
      state[2] = open ? 0 : 1
      visit { cache in
        cache.setOpen(open)
        return true
      }
    }
  }

  /// In the child of a fork: gives up the caches of threads that it does not have. They may have been cut off in the middle
  /// of a change, so nobody may use them or what they hold.
  package func giveUpOthers() {
    visit { cache in
      if cache.address != Memory.cache, Memory.load(cache.owned) == 1 {
        Memory.store(2, to: cache.owned)
      }
      return true
    }
  }

  /// Calls `body` with every cache until it answers false.
  package func visit(_ body: (ThreadCache<Memory>) -> Bool) {
    var next = Memory.loadAcquiring(first)
    while let memory = UnsafeMutableRawPointer(bitPattern: next), body(ThreadCache<Memory>(memory)) {
      next = Memory.load(ThreadCache<Memory>(memory).nextCache)
    }
  }
}
