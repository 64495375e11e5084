import CAshlar

/// What is asked of the heap in one request.
package struct Request {
  package var size: Int
  /// A power of two, at most `Alignment.largest`.
  package var alignment: Int
  package var zeroed = false

  /// The largest request that the medium level serves, 512 MiB.
  package static let mediumLimit = RegionLayout.unitBytes << (BuddyTables.orders - 1)
  /// Alignments above this are served by mappings of their own.
  package static let alignmentLimit = RegionLayout.pageBytes

  @inline(__always)
  package init(size: Int, alignment: Int = 1, zeroed: Bool = false) {
    self.size = size
    self.alignment = alignment
    self.zeroed = zeroed
  }

  /// Which level serves it, and with what; nil when nothing can.
  enum Placement {
    case small(SizeClass)
    case medium(order: Int)
    case direct
  }

  /// The size of which a class's blocks are aligned as is asked; nil when no class serves it.
  @inline(__always)
  var sizeInClasses: Int? {
    guard UInt(bitPattern: size) <= UInt(SizeClass.largest), alignment <= Self.alignmentLimit else { return nil }
    return rounded
  }

  // A size rounded up to a multiple of the alignment falls into a class, and an order, whose blocks are so aligned.
  @inline(__always)
  private var rounded: Int { (max(size, 1) &+ (alignment &- 1)) & ~(alignment &- 1) }

  var placement: Placement? {
    guard size >= 0, size <= Int.max &- RegionLayout.pageBytes else { return nil }
    if alignment > Self.alignmentLimit { return .direct }
    let rounded = rounded
    if rounded <= SizeClass.largest { return .small(SizeClass(holding: rounded)) }
    if rounded <= Self.mediumLimit { return .medium(order: Self.order(holding: rounded)) }
    return .direct
  }

  private static func order(holding size: Int) -> Int {
    let units = (size &- 1) / RegionLayout.unitBytes
    return Int.bitWidth &- units.leadingZeroBitCount
  }
}

extension Heap {
  /// A block for a request, or nil when memory is out. Takes any route but the hot path.
  package func allocate(_ request: Request, site: @autoclosure () -> Site) -> UserPointer? {
    request.placement.flatMap { allocate(request, $0, site: site()) }
  }

  /// - Parameter placement: one that holds the request: usually its own.
  func allocate(_ request: Request, _ placement: Request.Placement, site: @autoclosure () -> Site) -> UserPointer? {
    obtain(request, placement, site: site())?.user
  }

  /// The same, beside whether it is a whole block of which no page has been touched.
  func obtain(
    _ request: Request, _ placement: Request.Placement, site: @autoclosure () -> Site
  ) -> (user: UserPointer, isUntouched: Bool)? {
    if let form = guardForm(request, placement), let user = allocateGuarded(form, request, site()) {
      if tracker.isEnabled { tracker.record(user, size: request.size, level: level(of: user) ?? .small, site: site()) }
      return (user, false)
    }
    guard let taken = take(request, placement) else { return nil }
    let user = UserPointer(taken.base)
    if request.zeroed, !taken.isZero { zero(user, request.size) }
    if tracker.isEnabled { tracker.record(user, size: request.size, level: taken.level, site: site()) }
    return (user, taken.isZero)
  }

  /// A block of one of the levels that the caller owns.
  struct Taken {
    var base: BlockBase
    /// Usable bytes.
    var size: Int
    var level: Level
    /// The block's tag once it is free; `none` outside the region.
    var tag = Tag.none
    var isZero: Bool
  }

  func take(_ request: Request) -> Taken? { request.placement.flatMap { take(request, $0) } }

  private func take(_ request: Request, _ placement: Request.Placement) -> Taken? {
    switch placement {
    case .small(let sizeClass):
      allocateSmall(sizeClass).map { Taken(base: $0, size: sizeClass.size, level: .small, tag: .free(sizeClass), isZero: false) }
    case .medium(let order):
      allocateMedium(order).map {
        Taken(base: $0.base, size: RegionLayout.unitBytes << order, level: .medium, tag: .free(order: order), isZero: $0.isZero)
      }
    case .direct:
      direct.allocate(size: request.size, alignment: request.alignment).map { base, block in
        Taken(base: base, size: block.mapped, level: block.level, isZero: true)
      }
    }
  }

  func zero(_ user: UserPointer, _ size: Int) {
    user.raw.unsafelyUnwrapped.initializeMemory(as: UInt8.self, repeating: 0, count: size)
  }

  // MARK: Small

  private func allocateSmall(_ sizeClass: SizeClass) -> BlockBase? {
    while let block = takeSmall(sizeClass) ?? takeSmallAfterReclaiming(sizeClass) {
      let tag = Tag(Memory.load(block.byte))
      guard tag == .free(sizeClass) else {
        reportHandedOutTwice(block, sizeClass)
        continue
      }
      Memory.store(tag.live.value, to: block.byte)
      return region.block(taggedAt: block)
    }
    return nil
  }

  private func takeSmall(_ sizeClass: SizeClass) -> TagAddress? {
    guard let cache = cacheOfThread(), case let bin = cache.bin(sizeClass), bin.capacity > 0 else { return takeUncached(sizeClass) }
    if bin.count == 0 { refill(bin, of: cache, sizeClass) }
    return bin.popUnsampled()
  }

  // What other magazines and bins of this thread hold may free a whole slab, or a unit.
  private func takeSmallAfterReclaiming(_ sizeClass: SizeClass) -> TagAddress? {
    reclaim()
    return takeSmall(sizeClass)
  }

  private func takeUncached(_ sizeClass: SizeClass) -> TagAddress? {
    var taken: TagAddress?
    guard slabs.take(sizeClass, 1, { taken = $0 }) == 1 else { return nil }
    counters.countUncached(sizeClass)
    return taken
  }

  private func refill(_ bin: Bin<Memory>, of cache: ThreadCache<Memory>, _ sizeClass: SizeClass) {
    bin.noteEmpty()
    // All bins of a class have one capacity, and no magazine holds more than a bin does.
    if let magazine = depots.take(sizeClass) {
      bin.fill(magazine.count, from: magazine.slots)
      cache.discard(magazine, to: depots)
    } else {
      drainLenders(of: sizeClass)
      // That may have reported, and the handler may have filled the bin.
      guard bin.count == 0 else { return }
      fillFromSlabs(bin, sizeClass)
    }
  }

  /// Blocks that an empty bin takes from the slabs at once.
  func stretch(of bin: Bin<Memory>, _ sizeClass: SizeClass) -> Int { min(sizeClass.stretch, Int(bin.allowance)) }

  // Neighbours are handed out lowest address first, as processors expect them to be touched; those shorter than a line highest first, as
  // the lowest may have come home alone, from between blocks of other threads.
  private func fillFromSlabs(_ bin: Bin<Memory>, _ sizeClass: SizeClass) {
    let room = UInt(stretch(of: bin, sizeClass))
    let isLowestOnTop = sizeClass.size >= CacheLine.bytes
    var count: UInt = 0
    _ = slabs.take(sizeClass, Int(room)) { block in
      bin[isLowestOnTop ? room - 1 - count : count] = block
      count += 1
    }
    bin.keep(isLowestOnTop ? room - count..<room : 0..<count)
  }

  // Free blocks in the stacks of sparse classes keep apart what could be one block of this class, and fresh pages be spared.
  private func drainLenders(of sizeClass: SizeClass) {
    guard slabs.isShort(sizeClass) else { return }
    for lender in LoanShape.candidates(for: sizeClass) {
      let waiting = depots.blockCount(lender)
      guard waiting > 0, LoanShape(sizeClass, from: lender) != nil, slabs.isSparse(lender, but: waiting) else { continue }
      if let twice = depots.drain(lender, into: slabs) { reportHandedOutTwice(twice, lender) }
    }
  }

  /// Undoes what the hot path did to something that said live already: a block, which is reported, or the bottom of a bin
  /// that was empty.
  package func restore(live tag: TagAddress) {
    guard region.contains(tag) else { return Bin<Memory>.restore(bottom: tag) }
    let live = Tag(Memory.load(tag.byte)).live
    Memory.store(live.value, to: tag.byte)
    if let sizeClass = live.sizeClass { reportHandedOutTwice(tag, sizeClass) }
  }

  /// Reports a block that came out of a cache although it is live: it was freed by two threads at the same instant,
  /// neither of which could see it. It stays with the owner that it has.
  package func reportHandedOutTwice(_ tag: TagAddress, _ sizeClass: SizeClass) {
    Fault(
      operation: .allocate, kind: .handedOutTwice, address: region.block(taggedAt: tag).address, state: "live: found in a cache",
      level: .small, blockSize: sizeClass.size, sizeClass: sizeClass.index
    ).report()
  }

  // MARK: Medium

  private func allocateMedium(_ order: Int) -> (base: BlockBase, isZero: Bool)? {
    guard let block = takeMedium(order) else { return nil }
    guard region.commit(units: block.units) else {
      buddy.release(block)
      return nil
    }
    let base = BlockBase(address: region.address(ofUnit: block.firstUnit))
    region.setLive(order: order, at: base)
    counters.countMedium(order)
    return (base, !block.isDirty)
  }

  private func takeMedium(_ order: Int) -> Buddy<Memory>.Block? {
    if let block = buddy.allocate(order: order) { return block }
    reclaim()
    return buddy.allocate(order: order)
  }

  /// Brings home what this thread's cache and the global stacks hold, so that units come free.
  func reclaim() {
    if let cache = cacheIfAny() { sendAllHome(cache) }
    drainDepots { depots.drain($0, into: $1) }
  }

  /// Brings home what `body` takes out of each class's stack.
  func drainDepots(_ body: (SizeClass, SlabClasses<Memory>) -> TagAddress?) {
    for sizeClass in SizeClass.all {
      if let twice = body(sizeClass, slabs) { reportHandedOutTwice(twice, sizeClass) }
    }
  }
}
