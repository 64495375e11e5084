/// The one pool that all classes draw their slabs from, and that every empty slab goes back to.
///
/// It takes units of 1 MiB from the medium level and cuts them into runs of 1, 2, 4, 8 or 16 pages, each aligned to
/// its own length; a unit whose pages are all free again goes back. Free pages that hold memory are preferred over
/// untouched ones of their unit, and are purged when they have been free for long or are too many (`Retention`).
///
/// Everything is done under the pool's lock. Taking a run is O(1) in the number of units; purging is O(units).
package struct SlabPool<Memory: SharedMemory> {
  private let region: Region<Memory>
  private let buddy: Buddy<Memory>
  let retention: Retention<Memory>
  private let state: PlainPointer<Memory, UInt>
  private let units: PlainPointer<Memory, Unit>

  /// What the pool knows of a unit. Masks have a bit a page. Of a unit that is not the pool's only `isOurs` means something.
  private struct Unit {
    var free: UInt16
    var dirty: UInt16
    var isOurs: Bool
    /// Tick since which all its pages that hold memory and are free have been so.
    var stamp: UInt32
    /// Neighbours in the list of its largest free run, unit number plus one.
    var next: UInt32
    var previous: UInt32
  }

  private static var lists: Int { SizeClass.largestSlabOrder + 1 }

  /// Bytes of state, and of the table with a record a unit.
  package static var stateBytes: Int { 128 }
  package static func tableBytes(units: Int) -> Int { units * MemoryLayout<Unit>.stride }

  /// `state` and `table` are zero when fresh.
  package init(
    region: Region<Memory>, buddy: Buddy<Memory>, retention: Retention<Memory>,
    state: UnsafeMutableRawPointer, table: UnsafeMutableRawPointer
  ) {
    self.region = region
    self.buddy = buddy
    self.retention = retention
    self.state = PlainPointer(state)
    units = PlainPointer(table)
  }

  /// Taken after a class's lock, never before one.
  package var lock: Lock<Memory> { Lock(SharedWord(state)) }
  /// First unit of each list, plus one.
  private var firsts: PlainPointer<Memory, UInt> { state + 1 }
  private var dirtyPages: Int {
    get { Int(state[8]) }
    nonmutating set { state[8] = UInt(newValue) }
  }
  /// The current tick, as units are stamped.
  private var now: UInt32 { UInt32(truncatingIfNeeded: retention.now) }
  private var dirtyUnits: Int { dirtyPages / RegionLayout.pagesPerUnit }
  /// Units that the pool holds.
  private var unitCount: Int {
    get { Int(state[9]) }
    nonmutating set { state[9] = UInt(newValue) }
  }
  /// One more than the highest unit that it ever held.
  private var topUnit: Int {
    get { Int(state[10]) }
    nonmutating set { state[10] = UInt(newValue) }
  }

  /// A run of 2^order pages, in no slab and owned by the caller; nil when memory is out.
  package func take(order: Int) -> Slab<Memory>? {
    lock.withLock {
      guard let unit = takeUnit(withRun: order) else { return nil }
      let page = bestRun(order, in: unit)
      let mask = Self.mask(page, order)
      units[unit].free &= ~mask
      let dirty = units[unit].dirty & mask
      dirtyPages -= dirty.nonzeroBitCount
      units[unit].dirty &= ~mask
      list(unit)
      return Slab(region: region, page: unit * RegionLayout.pagesPerUnit + page)
    }
  }

  /// Whether there are free pages that hold memory: so many here, or a unit in the medium level.
  package func holdsMemory(pages: Int) -> Bool { buddy.dirtyUnits > 0 || lock.withLock { dirtyPages >= pages } }

  /// Bytes of free pages that hold memory.
  package var dirtyBytes: Int { lock.withLock { dirtyPages * RegionLayout.pageBytes } }

  /// Takes the pages of a closed slab back.
  /// - Parameter since: the tick since which they have been of no use; now, unless the caller knows better.
  package func giveBack(_ slab: Slab<Memory>, order: Int, since: UInt? = nil) {
    lock.withLock {
      let unit = slab.page / RegionLayout.pagesPerUnit
      let mask = Self.mask(slab.page % RegionLayout.pagesPerUnit, order)
      unlist(unit)
      units[unit].free |= mask
      units[unit].dirty |= mask
      units[unit].stamp = max(units[unit].stamp, since.map { UInt32(truncatingIfNeeded: $0) } ?? now)
      dirtyPages += mask.nonzeroBitCount
      if units[unit].free == .max { giveUp(unit) } else { list(unit) }
      if retention.isExceeded(dirtyUnits: dirtyUnits) { purgeLocked(all: false) }
    }
  }

  /// Gives the memory of free pages back to the system that has been free for long. O(1) where no sweep is due.
  package func purgeAged() { if retention.claimSweep() { purge(all: false) } }

  /// Gives the memory of free pages back to the system.
  package func purge(all: Bool) { lock.withLock { purgeLocked(all: all) } }

  /// Bytes of the units that the pool holds.
  package var heldBytes: Int { lock.withLock { unitCount * RegionLayout.unitBytes } }

  // MARK: Units

  /// A unit with such a run, in no list.
  private func takeUnit(withRun order: Int) -> Int? {
    for list in order..<Self.lists where firsts[list] != 0 {
      let unit = Int(firsts[list]) - 1
      unlist(unit)
      return unit
    }
    return newUnit()
  }

  private func newUnit() -> Int? {
    guard let block = buddy.allocate(order: 0) else { return nil }
    let unit = block.firstUnit
    guard region.commit(units: block.units) else {
      buddy.release(block)
      return nil
    }
    region.forgetOrder(ofUnit: unit)
    let (dirty, stamp) = block.isDirty ? (UInt16.max, now) : (0, 0)
    units[unit] = Unit(free: .max, dirty: dirty, isOurs: true, stamp: stamp, next: 0, previous: 0)
    if block.isDirty { dirtyPages += RegionLayout.pagesPerUnit }
    unitCount += 1
    topUnit = max(topUnit, unit + 1)
    return unit
  }

  private func giveUp(_ unit: Int) {
    let dirty = units[unit].dirty
    dirtyPages -= dirty.nonzeroBitCount
    units[unit].isOurs = false
    unitCount -= 1
    buddy.release(.init(order: 0, index: unit, isDirty: dirty != 0), since: UInt(units[unit].stamp))
  }

  // MARK: Runs

  private static func mask(_ page: Int, _ order: Int) -> UInt16 {
    UInt16(truncatingIfNeeded: ((1 << (1 << order)) - 1) << page)
  }

  /// A bit at each page where an aligned run of 2^order set bits begins.
  private static func starts(of bits: UInt16, _ order: Int) -> UInt16 {
    var runs = bits
    var length = 1
    while length < 1 << order {
      runs &= runs >> UInt16(length)
      length *= 2
    }
    return runs & alignedStarts(order)
  }

  private static func alignedStarts(_ order: Int) -> UInt16 {
    switch order {
    case 0: 0xFFFF
    case 1: 0x5555
    case 2: 0x1111
    case 3: 0x0101
    default: 0x0001
    }
  }

  /// The first run of pages that all hold memory, or else the first free one.
  private func bestRun(_ order: Int, in unit: Int) -> Int {
    let warm = Self.starts(of: units[unit].free & units[unit].dirty, order)
    return (warm != 0 ? warm : Self.starts(of: units[unit].free, order)).trailingZeroBitCount
  }

  private func largestRun(_ unit: Int) -> Int? {
    for order in stride(from: SizeClass.largestSlabOrder, through: 0, by: -1)
    where Self.starts(of: units[unit].free, order) != 0 { return order }
    return nil
  }

  // MARK: Lists

  private func list(_ unit: Int) {
    guard let order = largestRun(unit) else { return }
    let first = firsts[order]
    units[unit].next = UInt32(truncatingIfNeeded: first)
    units[unit].previous = 0
    if first != 0 { units[Int(first) - 1].previous = UInt32(unit + 1) }
    firsts[order] = UInt(unit + 1)
  }

  private func unlist(_ unit: Int) {
    guard let order = largestRun(unit) else { return }
    let (next, previous) = (units[unit].next, units[unit].previous)
    if next != 0 { units[Int(next) - 1].previous = previous }
    if previous != 0 { units[Int(previous) - 1].next = next } else { firsts[order] = UInt(next) }
  }

  // MARK: Purge

  private func purgeLocked(all: Bool) {
    var age = all ? 0 : retention.delay
    sweep(age: age, downToCap: false)
    while age > 0, retention.isOverCap(dirtyUnits: dirtyUnits) {
      age /= 2
      sweep(age: age, downToCap: true)
    }
  }

  private func sweep(age: UInt, downToCap: Bool) {
    let now = now
    for unit in 0..<topUnit where units[unit].isOurs {
      if downToCap, !retention.isOverCap(dirtyUnits: dirtyUnits) { return }
      let loose = units[unit].free & units[unit].dirty
      if loose != 0, UInt(now &- units[unit].stamp) >= age { purge(loose, of: unit) }
    }
  }

  private func purge(_ pages: UInt16, of unit: Int) {
    var left = pages
    while left != 0 {
      let first = left.trailingZeroBitCount
      // What is added at the foot of a run is carried over it.
      let others = left & (left &+ 1 << UInt16(first))
      let run = left & ~others
      let start = unit * RegionLayout.pagesPerUnit + first
      if region.purge(pages: start..<(start + run.nonzeroBitCount)) {
        units[unit].dirty &= ~run
        dirtyPages -= run.nonzeroBitCount
      }
      left = others
    }
  }

  /// Whether masks, lists and counts agree.
  package func checkInvariants() -> Bool {
    lock.withLock {
      var held = 0
      var dirty = 0
      for unit in 0..<topUnit where units[unit].isOurs {
        held += 1
        dirty += units[unit].dirty.nonzeroBitCount
        if units[unit].dirty & ~units[unit].free != 0 || units[unit].free == .max { return false }
      }
      return held == unitCount && dirty == dirtyPages
    }
  }
}
