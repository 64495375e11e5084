extension Heap {
  /// Gives every free page back to the system: what the calling thread's cache and the global stacks hold goes home
  /// first. What other threads' caches hold stays with them. O(free blocks + units).
  ///
  /// Quarantined blocks are checked and leave their quarantine.
  package func trim() {
    emptyQuarantine(over: nil, .trim)
    reclaim()
    purge()
  }

  /// Gives the free pages of slabs and medium blocks back to the system.
  func purge() {
    pool.purge(all: true)
    buddy.purge(all: true)
  }

  /// Gives back what has been free for long. Looked at now and then by threads that call: of those whose blocks only go to
  /// and fro in their caches, nobody else would learn that time has passed.
  package func purgeAged() {
    if let last = depotTimer.claim() { drainDepots { depots.drainIdle($0, since: last, into: $1) } }
    pool.purgeAged()
    buddy.purgeAged()
  }

  /// Releases every huge block; nobody may use one any more. Answers how many there were.
  package func releaseAllHuge() -> Int {
    guarded.forgetAll(.huge) { record in
      tracker.forget(UserPointer(record.base, offset: record.offset))
      // What is mapped there next is somebody else's.
      marks.freed(record.bytes, zone: RegionLayout.granuleBytes)
      marks.permit(record.zoneBefore.lowerBound..<record.zoneBehind.upperBound)
    }
    return direct.releaseAllHuge { tracker.forget(UserPointer($0)) }
  }

  /// Checks every record against every other, and the canaries of every guarded block, whose damage is reported. True
  /// when all agree. The threads must be quiet.
  package func checkInvariants() -> Bool {
    let isWhole = reportDamage(.check)
    let levels = slabs.checkInvariants() && pool.checkInvariants() && buddy.checkInvariants() && direct.checkInvariants()
    return isWhole && levels && guarded.checkInvariants() && checkCaches()
  }

  /// Whether every block in a cache is free, of its bin's class, and begins where its slab says.
  private func checkCaches() -> Bool {
    var sound = true
    registry.visit { cache in
      if Memory.load(cache.owned) == 2 { return true }
      for sizeClass in SizeClass.all {
        let bin = cache.bin(sizeClass)
        for slot in 0..<bin.count where Memory.load(bin[slot].byte) != Tag.free(sizeClass).value { sound = false }
      }
      return sound
    }
    return sound
  }
}
