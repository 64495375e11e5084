import CAshlar

extension Heap {
  /// Takes a block back, by any route but the hot path. Null is nothing to do; what is no live block is reported.
  ///
  /// - Parameters:
  ///   - size: what the caller says was asked for it, if it says so.
  ///   - operation: on whose behalf.
  ///   - site: where it is freed.
  package func free(_ user: UserPointer, size: Int? = nil, operation: Operation = .free, site: Site = .unknown) {
    guard user.raw != nil else { return }
    guard let found = lookUp(user, operation) else { return }
    if let size, size > found.size || size < 0 {
      return report(.wrongSize, user, operation, found, state: "live: smaller than the size given")
    }
    switch found.place {
    case .small(let sizeClass): freeSmall(user, sizeClass, operation)
    case .medium(let order): freeMedium(user, order, operation, found)
    case .direct:
      tracker.forget(user)
      if !direct.release(BlockBase(user)) { reportInvalid(user, operation) }
    case .guarded(let form): freeGuarded(user, form, operation, site)
    }
  }

  // MARK: Small

  private func freeSmall(_ user: UserPointer, _ sizeClass: SizeClass, _ operation: Operation) {
    let block = BlockBase(user)
    // The exchange decides between two threads that free one block at once.
    guard region.exchangeTag(Tag.free(sizeClass).live, for: .free(sizeClass), at: block) else {
      return reportInvalid(user, operation)
    }
    tracker.forget(user)
    stow(block, sizeClass)
  }

  /// Puts a block whose tag says free into the thread's cache, or where there is none, home.
  func stow(_ block: BlockBase, _ sizeClass: SizeClass) {
    let tag = region.tagAddress(of: block)
    guard let cache = cacheOfThread(), case let bin = cache.bin(sizeClass), bin.capacity > 0 else {
      if let twice = slabs.giveBack(sizeClass, 1, { _ in tag }) { reportHandedOutTwice(twice, sizeClass) }
      return
    }
    // Again if need be: a flush may report, and the handler may have freed what fills the bin.
    while bin.isFull { overflow(bin, of: cache, sizeClass) }
    bin.append(tag)
  }

  private func overflow(_ bin: Bin<Memory>, of cache: ThreadCache<Memory>, _ sizeClass: SizeClass) {
    let staying = bin.noteOverflow(sizeClass)
    flush(bin, of: cache, sizeClass, Int(bin.count - staying))
  }

  /// Moves up to `count` blocks, a magazine at most, that have been in the bin longest to the class's global stack, or home.
  func flush(_ bin: Bin<Memory>, of cache: ThreadCache<Memory>, _ sizeClass: SizeClass, _ count: Int) {
    let leaving = min(count, sizeClass.batch, Int(bin.count))
    // A magazine is worth its way when it brings at least half of what an empty bin would take from the slabs.
    if leaving * 2 >= stretch(of: bin, sizeClass), !carriesLoans(bin, sizeClass, leaving), depots.admit(leaving, sizeClass),
      let magazine = cache.takeEmpty(from: depots)
    {
      magazine.fill(leaving, from: bin.slots)
      depots.put(magazine, sizeClass)
      bin.dropFirst(leaving)
    } else {
      sendHome(bin, sizeClass, leaving)
    }
  }

  // Blocks on loan are to come home as soon as they are free: while they are away, all blocks of their pages are freed by their tags.
  private func carriesLoans(_ bin: Bin<Memory>, _ sizeClass: SizeClass, _ leaving: Int) -> Bool {
    guard slabs.hasLoans(sizeClass) else { return false }
    for index in 0..<UInt(leaving) {
      let page = region.page(of: region.block(taggedAt: bin[index]).address)
      if Memory.load(region.route(ofPage: page)) == 0 { return true }
    }
    return false
  }

  /// Sends home the few blocks, shorter than a line, that a bin goes on with: they may have come from another thread, which
  /// writes to their neighbours in the same line (passive false sharing: Berger et al., Hoard, 2000). The refill brings a
  /// stretch that is this thread's alone, where none wait in the stack.
  func leaveSharedLines(_ bin: Bin<Memory>, of cache: ThreadCache<Memory>, _ sizeClass: SizeClass) {
    guard sizeClass.size < CacheLine.bytes, bin.count <= CacheLine.bytes / 8 else { return }
    flush(bin, of: cache, sizeClass, Int(bin.count))
  }

  /// Empties a cache that no thread uses any more.
  func flushAll(_ cache: ThreadCache<Memory>) {
    for sizeClass in SizeClass.all {
      let bin = cache.bin(sizeClass)
      while bin.count > 0 { flush(bin, of: cache, sizeClass, Int(bin.count)) }
    }
    cache.discardSpare(to: depots)
  }

  /// Sends home what lies in those bins of the caller's own cache that nothing was allocated from since the last look, at that tick:
  /// each block may keep a slab. Not by the global stacks, where it would wait as long again.
  package func sendIdleHome(_ cache: ThreadCache<Memory>, since: UInt) {
    for sizeClass in SizeClass.all {
      let bin = cache.bin(sizeClass)
      guard bin.wasIdle() else { continue }
      bin.resetAllowance(sizeClass)
      if bin.count > 0 { sendHome(bin, sizeClass, Int(bin.count), since: since) }
    }
  }

  /// Sends home all that the caller's own cache holds.
  func sendAllHome(_ cache: ThreadCache<Memory>) {
    for sizeClass in SizeClass.all {
      let bin = cache.bin(sizeClass)
      if bin.count > 0 { sendHome(bin, sizeClass, Int(bin.count)) }
    }
    cache.discardSpare(to: depots)
  }

  // Long, and not to be copied into each caller.
  @inline(never)
  private func sendHome(_ bin: Bin<Memory>, _ sizeClass: SizeClass, _ leaving: Int, since: UInt? = nil) {
    let twice = slabs.giveBack(sizeClass, leaving, since: since) { bin[UInt($0)] }
    bin.dropFirst(leaving)
    // Only now: the handler may allocate, and the bin must not offer what has left it.
    if let twice { reportHandedOutTwice(twice, sizeClass) }
  }

  // MARK: Medium

  private func freeMedium(_ user: UserPointer, _ order: Int, _ operation: Operation, _ found: Found) {
    guard claimMedium(user, order, operation, found) else { return }
    releaseMedium(BlockBase(user), order)
  }

  /// Says that a medium block is free, which from then on is the caller's to release. False, and reported, when it was free
  /// already.
  func claimMedium(_ user: UserPointer, _ order: Int, _ operation: Operation, _ found: Found) -> Bool {
    let free = Tag.free(order: order)
    // The exchange decides between two threads that free one block at once.
    guard region.exchangeTag(free.live, for: free, at: BlockBase(user)) else {
      report(.doubleFree, user, operation, found, state: "already free: in the buddy system")
      return false
    }
    tracker.forget(user)
    return true
  }

  /// Takes back a medium block whose tag says free.
  func releaseMedium(_ base: BlockBase, _ order: Int, isDirty: Bool = true) {
    counters.uncountMedium(order)
    let unit = region.unit(of: base.address)
    buddy.release(.init(order: order, index: unit >> order, isDirty: isDirty))
  }

  // MARK: Look up

  /// A live block, and where it is at home.
  struct Found {
    enum Place {
      case small(SizeClass)
      case medium(order: Int)
      case direct
      case guarded(GuardForm)
    }
    var place: Place
    /// Usable bytes.
    var size: Int
    var level: Level
  }

  /// The live block that a user's pointer points at; nil, and reported, when there is none. Nothing is read through
  /// the pointer.
  func lookUp(_ user: UserPointer, _ operation: Operation) -> Found? {
    guard let found = find(user) else {
      reportInvalid(user, operation)
      return nil
    }
    return found
  }

  /// The level of a live block.
  package func level(of user: UserPointer) -> Level? { find(user)?.level }

  private func find(_ user: UserPointer) -> Found? {
    let base = BlockBase(user)
    guard region.contains(base.address) else { return findDirect(base) ?? findGuarded(user) }
    let tag = region.tag(at: base.address)
    guard tag.isLive, base.address % UInt(RegionLayout.granuleBytes) == 0 else { return findGuarded(user) }
    if let sizeClass = tag.sizeClass { return Found(place: .small(sizeClass), size: sizeClass.size, level: .small) }
    guard let order = tag.order else { return nil }
    return Found(place: .medium(order: order), size: RegionLayout.unitBytes << order, level: .medium)
  }

  private func findDirect(_ base: BlockBase) -> Found? {
    guard let block = direct.block(at: base), !block.isGuarded else { return nil }
    return Found(place: .direct, size: block.mapped, level: block.level)
  }

  private func findGuarded(_ user: UserPointer) -> Found? {
    guard let record = guardRecord(user), !record.isFree else { return nil }
    return Found(place: .guarded(pages.contains(user.address) ? .page : .canary), size: record.size, level: record.level)
  }

  /// Usable bytes of a live block; 0, and reported, for anything else. Null has 0.
  package func usableSize(_ user: UserPointer) -> Int {
    guard user.raw != nil else { return 0 }
    return lookUp(user, .usableSize)?.size ?? 0
  }
}
