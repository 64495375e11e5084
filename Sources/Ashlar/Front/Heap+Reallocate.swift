extension Heap {
  /// What became of a request to resize.
  package enum Reallocation {
    case done(UserPointer)
    /// The block is what it was.
    case outOfMemory
    /// What was to be resized is no live block; it has been reported.
    case invalid
  }

  /// Resizes a block, in place where its class or mapping allows, otherwise by moving it. The contents are kept up to
  /// the smaller size. A null pointer asks for a new block.
  package func reallocate(_ user: UserPointer, _ request: Request, site: @autoclosure () -> Site) -> Reallocation {
    guard user.raw != nil else {
      guard let fresh = allocate(request, site: site()) else { return .outOfMemory }
      return .done(fresh)
    }
    guard let found = lookUp(user, .reallocate) else { return .invalid }
    if let same = resizeInPlace(user, found, request) {
      if tracker.isEnabled { tracker.record(same, size: request.size, level: level(of: same) ?? found.level, site: site()) }
      return .done(same)
    }
    if case .medium(let held) = found.place, case .medium(let wanted) = request.placement, wanted > held {
      return growMedium(user, found, from: held, request, to: wanted, site: site())
    }
    guard let moved = allocateGrown(request, from: found, site: site()) ?? allocate(request, site: site())
    else { return .outOfMemory }
    moved.raw.unsafelyUnwrapped.copyMemory(
      from: user.raw.unsafelyUnwrapped, byteCount: min(found.size, request.size))
    free(user, operation: .reallocate, site: site())
    return .done(moved)
  }

  // Contents go to pages that are there by being copied, and to untouched ones by being carried: there each page would cost a
  // fault, and the old ones stay behind. Before it is claimed, a block could be freed, and its place be another's.
  // Not where the system counts what may be written: Linux 6.15 to 6.17 lose count of what pages were carried from.
  private func growMedium(
    _ user: UserPointer, _ found: Found, from held: Int, _ request: Request, to wanted: Int, site: @autoclosure () -> Site
  ) -> Reallocation {
    guard let (moved, isUntouched) = obtain(request, .medium(order: wanted), site: site()) else { return .outOfMemory }
    guard claimMedium(user, held, .reallocate, found) else {
      free(moved, operation: .reallocate, site: site())
      return .invalid
    }
    let (old, new) = (user.raw.unsafelyUnwrapped, moved.raw.unsafelyUnwrapped)
    let isCarrying = isUntouched && !switches.strict && region.unit(of: moved.address) < PageCarrier.mostUnits
    let isCarried = isCarrying && PageCarrier.bring(found.size, from: old, to: new)
    if !isCarrying { new.copyMemory(from: old, byteCount: found.size) }
    if isCarried { region.purgeTags(ofUnits: region.unit(of: user.address), 1 << held) }
    releaseMedium(BlockBase(user), held, isDirty: !isCarried)
    return .done(moved)
  }

  private func resizeInPlace(_ user: UserPointer, _ found: Found, _ request: Request) -> UserPointer? {
    guard let placement = request.placement else { return nil }
    if case .direct = found.place {
      if case .small = placement { return nil }
      return resizeMapping(user, request)
    }
    guard user.address.isRounded(to: UInt(request.alignment)) else { return nil }
    switch (found.place, placement) {
    case (.small(let held), .small(let wanted)):
      // A block is kept while at least half of it stays in use.
      return wanted == held || (wanted.index < held.index && wanted.size * 2 >= held.size) ? user : nil
    case (.medium(let held), .medium(let wanted)):
      if held == wanted { return user }
      if wanted > held { return growInPlace(user, from: held, to: wanted) ? user : nil }
      // A block is kept while at least a quarter stays in use: what little is left of a large one would be in the way of the next.
      return held - wanted <= 2 && shrinkInPlace(user, from: held, to: wanted) ? user : nil
    case (.medium(order: 0), .small(let wanted)):
      return Self.isRoomy(wanted) ? user : nil
    default:
      return nil
    }
  }

  // By what lies behind it, where that is free.
  private func growInPlace(_ user: UserPointer, from held: Int, to wanted: Int) -> Bool {
    let base = BlockBase(user)
    let unit = region.unit(of: base.address)
    guard buddy.grow(.init(order: held, index: unit >> held, isDirty: true), to: wanted) else { return false }
    guard region.commit(units: unit..<(unit + 1 << wanted)), resizeMedium(base, from: held, to: wanted) else {
      releaseBehind(unit, from: held, to: wanted)
      return false
    }
    return true
  }

  private func shrinkInPlace(_ user: UserPointer, from held: Int, to wanted: Int) -> Bool {
    let base = BlockBase(user)
    guard resizeMedium(base, from: held, to: wanted) else { return false }
    releaseBehind(region.unit(of: base.address), from: wanted, to: held)
    return true
  }

  // False, and no effect, when another thread has freed it meanwhile.
  private func resizeMedium(_ base: BlockBase, from held: Int, to wanted: Int) -> Bool {
    guard region.resize(order: held, to: wanted, at: base) else { return false }
    // A block that changes its order is an allocation of the one and a free of the other.
    counters.uncountMedium(held)
    counters.countMedium(wanted)
    return true
  }

  // What a block of the larger order has more than one of the smaller that begins with it: one block of each order between them.
  private func releaseBehind(_ unit: Int, from smaller: Int, to larger: Int) {
    for order in smaller..<larger { buddy.release(.init(order: order, index: unit >> order + 1, isDirty: true)) }
  }

  // What grows once is likely to grow again. From a quarter of a unit on it moves to a whole one, whose pages cost nothing
  // until they are touched, and grows there in place. Nil for other blocks, and where there is no unit: a block of its class
  // may be left.
  private func allocateGrown(_ request: Request, from found: Found, site: @autoclosure () -> Site) -> UserPointer? {
    guard !switches.strict, case .small = found.place, case .small(let wanted) = request.placement,
      request.size > found.size, Self.isRoomy(wanted)
    else { return nil }
    return allocate(request, .medium(order: 0), site: site())
  }

  private static func isRoomy(_ wanted: SizeClass) -> Bool { wanted.size >= RegionLayout.unitBytes / 4 }

  // Once the mapping has moved, its old address may be another thread's new block: the record goes first.
  private func resizeMapping(_ user: UserPointer, _ request: Request) -> UserPointer? {
    let record = tracker.withdraw(user)
    if let resized = direct.resize(BlockBase(user), to: request.size, alignment: request.alignment) { return UserPointer(resized) }
    if let record { tracker.record(user, size: record.size, level: record.level, site: record.site) }
    return nil
  }
}
