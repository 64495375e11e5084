extension Heap {
  func report(_ kind: Fault.Kind, _ user: UserPointer, _ operation: Operation, _ found: Found, state: StaticString) {
    var fault = Fault(operation: operation, kind: kind, address: user.address, state: state, level: found.level)
    fault.blockSize = found.size
    switch found.place {
    case .small(let sizeClass): fault.sizeClass = sizeClass.index
    case .medium(let order): fault.sizeClass = order
    case .direct: break
    case .guarded:
      if let record = guardRecord(user) { (fault.allocated, fault.freed) = (record.allocated, record.freed) }
    }
    fault.report()
  }

  /// Works out what a pointer that is no live block points at, and reports it. Only records are read.
  func reportInvalid(_ user: UserPointer, _ operation: Operation) {
    if let record = guardRecord(user), record.isFree { return reportFreedGuarded(record, operation) }
    let base = BlockBase(user)
    guard region.contains(base.address) else { return reportOutside(user, operation) }
    let page = region.page(of: base.address)
    let slab = Slab<Memory>(region: region, containing: page)
    // A page's descriptor is only of use while its unit was ever handed out; before that it reads as zero, no class.
    if let sizeClass = slab.sizeClass {
      reportInSlab(user, operation, slab, sizeClass)
    } else {
      reportInUnits(user, operation)
    }
  }

  private func reportOutside(_ user: UserPointer, _ operation: Operation) {
    var fault = Fault(operation: operation, kind: .invalidPointer, address: user.address, state: "not from this allocator")
    if pages.contains(user.address) {
      fault.state = "in the page of a guarded block, not at its start"
    } else if direct.block(at: BlockBase(user)) != nil {
      fault.state = "the base of a guarded block, not its user's pointer"
    } else if let block = direct.block(around: user.address) {
      // Before the addresses given back: what is mapped there now counts.
      fault.level = block.level
      fault.blockSize = block.mapped
      fault.state = "inside a block"
    } else if direct.wasReleased(BlockBase(user)) {
      fault.kind = .doubleFree
      fault.state = "already free: returned to the system"
    }
    fault.report()
  }

  private func reportInSlab(_ user: UserPointer, _ operation: Operation, _ slab: Slab<Memory>, _ sizeClass: SizeClass) {
    let base = BlockBase(user)
    let offset = base.address - region.address(ofPage: slab.page)
    let isStart = offset % UInt(sizeClass.size) == 0
    let isBeyond = Int(offset) / sizeClass.size >= sizeClass.slabBlocks
    let tag = region.tag(at: base.address)
    let neverUsed = isStart && tag == .none && slabs.isHome(region.tagAddress(of: base))
    let sizeClass = neverUsed ? sizeClass : lentClass(around: base, slab, sizeClass) ?? sizeClass
    var fault = Fault(
      operation: operation, kind: .invalidPointer, address: user.address, state: "inside a block", level: .small,
      blockSize: sizeClass.size, sizeClass: sizeClass.index)
    if base.address % UInt(RegionLayout.granuleBytes) != 0 {
      fault.state = "misaligned: no block begins here"
    } else if tag == .guarded {
      fault.state = "the base of a guarded block, not its user's pointer"
    } else if isBeyond {
      fault.state = "behind the last block of a slab"
    } else if neverUsed {
      fault.state = "never allocated: untouched in its slab"
    } else if isStart, tag != .none {
      fault.kind = .doubleFree
      fault.state = whereabouts(base, sizeClass)
    }
    fault.report()
  }

  // The class of the block on loan that an address lies in, or that began there last. Its tag is the next one at or before the address.
  private func lentClass(around base: BlockBase, _ slab: Slab<Memory>, _ lender: SizeClass) -> SizeClass? {
    let start = region.address(ofPage: slab.page)
    var index = Int(base.address - start) / lender.size
    while index > 0, region.tag(at: start + UInt(index * lender.size)) == .none { index -= 1 }
    let first = start + UInt(index * lender.size)
    guard let borrower = region.tag(at: first).sizeClass, LoanShape(borrower, from: lender) != nil, base.address < first + UInt(borrower.size)
    else { return nil }
    return borrower
  }

  private func reportInUnits(_ user: UserPointer, _ operation: Operation) {
    let base = BlockBase(user)
    var fault = Fault(
      operation: operation, kind: .invalidPointer, address: user.address, state: "no block: never allocated, or given back to the system", level: nil)
    if base.address % UInt(RegionLayout.granuleBytes) != 0 {
      fault.state = "misaligned: no block begins here"
    } else if region.tag(at: base.address) == .guarded {
      fault.state = "the base of a guarded block, not its user's pointer"
    } else if let block = mediumBlock(around: base) {
      fault.level = .medium
      fault.blockSize = RegionLayout.unitBytes << block.order
      fault.sizeClass = block.order
      fault.state = "inside a block"
    } else {
      describeFreed(base, &fault)
    }
    fault.report()
  }

  // Tags of blocks that came home are left standing until their granules are used otherwise or purged; that a medium block
  // began at a unit is known after that, too.
  private func describeFreed(_ base: BlockBase, _ fault: inout Fault) {
    let tag = region.tag(at: base.address)
    if let sizeClass = tag.sizeClass {
      fault.kind = .doubleFree
      fault.level = .small
      fault.blockSize = sizeClass.size
      fault.sizeClass = sizeClass.index
      fault.state = "already free: its slab went back to the pool"
    } else if let order = tag.order ?? region.lastOrder(at: base) {
      fault.kind = .doubleFree
      fault.level = .medium
      fault.blockSize = RegionLayout.unitBytes << order
      fault.sizeClass = order
      fault.state = "already free: in the buddy system"
    }
  }

  /// The live medium block that an address lies in.
  private func mediumBlock(around base: BlockBase) -> (unit: Int, order: Int)? {
    let unit = region.unit(of: base.address)
    for order in 0..<BuddyTables.orders {
      let first = (unit >> order) << order
      let (start, free) = (region.address(ofUnit: first), Tag.free(order: order))
      let tag = region.tag(at: start)
      if tag == free.live || (tag == .guarded && guarded.record(at: BlockBase(address: start))?.tag == free) { return (first, order) }
    }
    return nil
  }

  /// Where a free small block is. The caches and magazines of other threads may change while they are searched.
  private func whereabouts(_ block: BlockBase, _ sizeClass: SizeClass) -> StaticString {
    let tag = region.tagAddress(of: block)
    if slabs.isHome(tag) { return "already free: in its slab" }
    if let cache = cacheIfAny(), cache.bin(sizeClass).holds(tag) { return "already free: in this thread's cache" }
    if depots.holds(tag, sizeClass) { return "already free: in a global stack" }
    var state: StaticString = "already free: on its way between caches"
    registry.visit { cache in
      guard cache.bin(sizeClass).holds(tag) else { return true }
      state = "already free: in another thread's cache"
      return false
    }
    return state
  }
}
