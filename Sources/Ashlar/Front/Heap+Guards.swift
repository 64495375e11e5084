import CAshlar

/// Guarded blocks: ordinary blocks of any level with a header and a canary, or sampled ones in slots of their own.
extension Heap {
  // MARK: Choice

  /// The form in which the next block is to be guarded; nil for none. Takes the turn.
  ///
  /// Blocks from a bin take turns by its count, so that the hot path needs nothing of its own; others by lot.
  func guardForm(_ request: Request, _ placement: Request.Placement) -> GuardForm? {
    let interval = policy.interval
    guard interval != 1 else { return admitted(policy.form(cacheOfThread()?.nextRandom() ?? 0), request) }
    guard let cache = interval == 0 ? cacheIfAny() : cacheOfThread() else { return nil }
    if cache.armedInterval != interval { cache.arm(interval: interval) }
    if case .small(let sizeClass) = placement {
      let bin = cache.bin(sizeClass)
      guard bin.isDue else { return nil }
      if let last = cache.idleTimer(delay: UInt(switches.delay)).claim() { sendIdleHome(cache, since: last) }
      purgeAged()
      leaveSharedLines(bin, of: cache, sizeClass)
      let form = interval == 0 ? nil : admitted(policy.form(cache.nextRandom()), request)
      // Who comes too often need not come so soon again: asking costs, too.
      cache.arm(bin, interval: form == nil ? Self.stretch * interval : interval)
      return form
    }
    return interval != 0 && cache.nextRandom() % interval == 0 ? admitted(policy.form(cache.nextRandom()), request) : nil
  }

  private static var stretch: UInt { 64 }

  private func admitted(_ form: GuardForm?, _ request: Request) -> GuardForm? {
    guard form == .page else { return form }
    return pages.fits(size: request.size, alignment: request.alignment) && policy.admitPage() ? .page : nil
  }

  /// A guarded block; nil when it can't be had, and is to be served unguarded.
  func allocateGuarded(_ form: GuardForm, _ request: Request, _ site: Site) -> UserPointer? {
    switch form {
    case .canary: allocateWithCanary(request, site)
    case .page: allocateBeforePage(request, site)
    }
  }

  // MARK: Canaries

  private func allocateWithCanary(_ request: Request, _ site: Site) -> UserPointer? {
    let offset = max(request.alignment, RegionLayout.granuleBytes)
    let (size, overflow) = request.size.addingReportingOverflow(offset &+ RegionLayout.granuleBytes)
    guard !overflow, let taken = take(Request(size: size, alignment: offset)) else { return nil }
    setGuarded(taken)
    let user = UserPointer(taken.base, offset: UInt(offset))
    let record = GuardRecord(
      user: user, size: request.size, offset: UInt(offset), end: taken.base.address &+ UInt(taken.size),
      level: taken.level, tag: taken.tag, allocated: site)
    canary.seal(record.zoneBefore)
    canary.seal(record.zoneBehind)
    if request.zeroed, !taken.isZero { zero(user, request.size) }
    guard guarded.insert(record) else {
      giveBack(record)
      return nil
    }
    marks.forbid(record.zoneBefore)
    marks.forbid(record.zoneBehind)
    marks.allocated(record.bytes, zone: RegionLayout.granuleBytes, zeroed: request.zeroed)
    return user
  }

  /// What tells a guarded block's base from a user's pointer: its tag, or the table of mappings.
  private func setGuarded(_ taken: Taken) {
    if taken.tag == .none { direct.setGuarded(taken.base) } else { region.setTag(.guarded, at: taken.base) }
  }

  private func retire(_ record: GuardRecord, isDamaged: Bool) {
    if isDamaged {
      // Damage is said once: what is looked at again on its way out of quarantine is whole.
      canary.seal(record.zoneBefore)
      canary.seal(record.zoneBehind)
    }
    marks.freed(record.bytes, zone: RegionLayout.granuleBytes)
    keepOrGiveBack(record)
  }

  private func keepOrGiveBack(_ record: GuardRecord) {
    guard record.tag != .none, record.size <= switches.quarantine else {
      guarded.forget(record)
      marks.permit(record.zoneBefore.lowerBound..<record.zoneBehind.upperBound)
      return giveBack(record)
    }
    marks.permit(record.bytes)
    Canary.fillFreed(record.bytes)
    marks.forbid(record.zoneBefore.lowerBound..<record.zoneBehind.upperBound)
    guarded.quarantine(record)
  }

  /// Checks the blocks that have been in quarantine longest and gives their memory back to their levels: those beyond
  /// `capacity` bytes, or all.
  func emptyQuarantine(over capacity: Int?, _ operation: Operation) {
    while let record = guarded.evict(over: capacity) {
      marks.permit(record.zoneBefore.lowerBound..<record.zoneBehind.upperBound)
      let damage = record.isReported ? nil : record.damage(canary, found: operation)
      giveBack(record)
      damage?.report()
    }
  }

  // The block is nobody's: not its user's any more, and not in quarantine.
  private func giveBack(_ record: GuardRecord) {
    guard record.tag != .none else {
      _ = direct.release(record.base, known: record.user)
      return
    }
    region.setTag(record.tag, at: record.base)
    if let sizeClass = record.tag.sizeClass { stow(record.base, sizeClass) }
    if let order = record.tag.order { releaseMedium(record.base, order) }
  }

  // MARK: Pages

  private func allocateBeforePage(_ request: Request, _ site: Site) -> UserPointer? {
    // Zero already, whatever was asked for.
    guard let user = pages.allocate(size: request.size, alignment: request.alignment, canary: canary, site: site)
    else { return nil }
    policy.countPage()
    return user
  }

  // MARK: Free

  /// Frees a block that is, or was, guarded.
  func freeGuarded(_ user: UserPointer, _ form: GuardForm, _ operation: Operation, _ site: Site) {
    switch form == .page ? pages.release(user, by: site) : guarded.release(user, by: site) {
    case .unknown: reportInvalid(user, operation)
    case .alreadyFree(let record): reportFreedGuarded(record, operation)
    case .taken(let record):
      tracker.forget(user)
      marks.permit(record.zoneBefore)
      marks.permit(record.zoneBehind)
      let damage = record.isReported ? nil : record.damage(canary, found: operation)
      switch form {
      case .canary: retire(record, isDamaged: damage != nil)
      case .page: pages.retire(record)
      }
      damage?.report()
      emptyQuarantine(over: switches.quarantine, .reuse)
    }
  }

  // MARK: Faults

  /// What is known of a guarded block, live or freed, at a user's pointer.
  func guardRecord(_ user: UserPointer) -> GuardRecord? { pages.record(of: user) ?? guarded.record(of: user) }

  func reportFreedGuarded(_ record: GuardRecord, _ operation: Operation) {
    var fault = record.fault(.doubleFree, operation)
    fault.state = "already free: guarded"
    fault.report()
  }

  /// Reports all damage to guarded blocks that has not been reported. Answers whether there was none.
  func reportDamage(_ operation: Operation) -> Bool {
    var isWhole = true
    while let damage = guarded.nextDamage(canary, marks, found: operation) ?? pages.nextDamage(canary, found: operation) {
      isWhole = false
      damage.report()
    }
    return isWhole
  }

  /// Changes one block in how many is guarded: by canaries, in slots before a page. 0 is for none, 1 for all.
  package func setGuards(canaries: Int, pages interval: Int) {
    if interval > 0 {
      guard pages.open() else { return setGuards(canaries: canaries, pages: 0) }
      ashlar_watch_forbidden_access()
    }
    policy.canaryInterval = UInt(canaries)
    policy.pageInterval = UInt(interval)
    updateRoutes()
    // Other threads arm at their next call that leaves the hot path.
    cacheIfAny()?.arm(interval: policy.interval)
  }
}
