/// One reserved stretch of address space that all small and medium blocks lie in, and the tables beside it.
///
/// `address - base < bytes` is the whole test for "ours", and no test reads through a foreign pointer. The region
/// is cut into units of 1 MiB. Beside it lie, in one reservation: a route for each page of 64 KiB; a tag for each granule; a
/// descriptor for each page; a bitmap for each, in parts, of which most slabs use the first alone; the records of the units, and a
/// byte or two for each. Nothing is ever unmapped while the region lives.
///
/// Where the system counts every writable page against a limit (`vm.overcommit_memory=2`), units become writable
/// only when they are first handed out.
package struct Region<Memory: SharedMemory> {
  package let base: UInt
  package let unitCount: Int
  package let tags: UnsafeMutablePointer<UInt8>
  package let descriptors: UnsafeMutableRawPointer
  private let bitmaps: UnsafeMutableRawPointer
  /// Where the level that hands out units keeps its records.
  package let unitRecords: UnsafeMutableRawPointer
  /// A byte a unit: one more than the order of the medium block that began there last, 0 for none.
  private let lastOrders: UnsafeMutablePointer<UInt8>
  /// Whether units must be made writable before use, and a byte a unit saying that it is done.
  private let committed: UnsafeMutablePointer<UInt8>?
  private let reservation: UnsafeMutableRawPointer
  private let reservedBytes: Int

  private static var alignment: Int { 2 << 20 }
  /// A region is a multiple of this, so that every table beside it but those of bytes a unit begins at a line of its own.
  package static var smallest: Int { 4 << 20 }

  package var bytes: Int { unitCount * RegionLayout.unitBytes }

  /// Reserves a region of `bytes`, 1 TiB at most, rounded down to 4 MiB, or of half as much, a quarter, … where the system refuses;
  /// nil when there is not even that.
  ///
  /// - Parameters:
  ///   - strict: reserve without commit charge, and make units writable on first use.
  ///   - unitRecordBytes: bytes for the records of so many units.
  package init?(bytes wanted: Int, strict: Bool, unitRecordBytes: (Int) -> Int) {
    var bytes = min(wanted, RegionLayout.mostPages * RegionLayout.pageBytes) / Self.smallest * Self.smallest
    while bytes > 0 {
      if let region = Region(exactly: bytes, strict: strict, unitRecordBytes: unitRecordBytes) {
        self = region
        return
      }
      bytes = bytes / 2 / Self.smallest * Self.smallest
    }
    return nil
  }

  private init?(exactly bytes: Int, strict: Bool, unitRecordBytes: (Int) -> Int) {
    let units = bytes / RegionLayout.unitBytes
    let tagBytes = bytes / RegionLayout.granuleBytes
    let pages = units * RegionLayout.pagesPerUnit
    let (descriptorBytes, bitmapBytes) = (pages * RegionLayout.descriptorBytes, pages * RegionLayout.bitmapBytes)
    let recordBytes = unitRecordBytes(units)
    let committedBytes = strict ? units : 0
    let tableBytes = RegionLayout.routesBytes + tagBytes + descriptorBytes + bitmapBytes + recordBytes + units + committedBytes
    let total = bytes + tableBytes + Self.alignment
    guard let start = System.reserve(total, readable: true, writable: !strict) else { return nil }
    let first = UInt(bitPattern: start).roundedUp(to: UInt(Self.alignment))
    var table = UnsafeMutableRawPointer(bitPattern: first).unsafelyUnwrapped + bytes
    reservation = start
    reservedBytes = total
    base = first
    unitCount = units
    table += RegionLayout.routesBytes
    tags = table.assumingMemoryBound(to: UInt8.self)
    table += tagBytes
    descriptors = table
    table += descriptorBytes
    bitmaps = table
    table += bitmapBytes
    unitRecords = table
    table += recordBytes
    lastOrders = table.assumingMemoryBound(to: UInt8.self)
    table += units
    committed = strict ? table.assumingMemoryBound(to: UInt8.self) : nil
    if strict, !writable(unitRecords, recordBytes + units + committedBytes) {
      System.unmap(start, total)
      return nil
    }
  }

  /// Gives the whole reservation back. Nothing of it may be in use.
  package func release() { System.unmap(reservation, reservedBytes) }

  /// Makes units usable; false when the system's limit is met, and then none of them may be used.
  package func commit(units: Range<Int>) -> Bool {
    guard let committed else { return true }
    for unit in units where committed[unit] == 0 {
      guard commit(unit: unit) else { return false }
      committed[unit] = 1
    }
    return true
  }

  // Two threads may do this to neighbouring units at once: it is idempotent, and each owns its unit.
  private func commit(unit: Int) -> Bool {
    let page = RegionLayout.pagesPerUnit * unit
    return writable(UnsafeMutableRawPointer(bitPattern: address(ofUnit: unit)).unsafelyUnwrapped, RegionLayout.unitBytes)
      && writable(UnsafeMutableRawPointer(tags) + RegionLayout.unitBytes / 16 * unit, RegionLayout.unitBytes / 16)
      && writable(UnsafeMutableRawPointer(route(ofPage: page).address), RegionLayout.pagesPerUnit * MemoryLayout<UInt16>.stride)
      && writable(descriptors + page * RegionLayout.descriptorBytes, RegionLayout.pagesPerUnit * RegionLayout.descriptorBytes)
      && (0..<RegionLayout.bitmapParts).allSatisfy {
        writable(bitmap(ofPage: page, part: $0), RegionLayout.pagesPerUnit * RegionLayout.bitmapPartBytes)
      }
  }

  private func writable(_ start: UnsafeMutableRawPointer, _ bytes: Int) -> Bool {
    let page = UInt(System.pageBytes)
    let first = UInt(bitPattern: start).roundedDown(to: page)
    let end = (UInt(bitPattern: start) + UInt(bytes)).roundedUp(to: page)
    return System.makeWritable(UnsafeMutableRawPointer(bitPattern: first).unsafelyUnwrapped, Int(end - first))
  }

  /// Whether an address lies in the region.
  @inline(__always)
  package func contains(_ address: UInt) -> Bool { address &- base < UInt(bitPattern: bytes) }

  @inline(__always)
  package func address(ofUnit unit: Int) -> UInt { base &+ UInt(bitPattern: unit &* RegionLayout.unitBytes) }

  @inline(__always)
  package func unit(of address: UInt) -> Int { Int(bitPattern: address &- base) / RegionLayout.unitBytes }

  @inline(__always)
  package func address(ofPage page: Int) -> UInt { base &+ UInt(bitPattern: page &* RegionLayout.pageBytes) }

  @inline(__always)
  package func page(of address: UInt) -> Int { Int(bitPattern: (address &- base) / UInt(RegionLayout.pageBytes)) }

  /// Where in a thread's cache the bin lies that takes the blocks of a page: 0, the null bin, for a page that is in no
  /// slab, or has blocks of several classes.
  @inline(__always)
  package func route(ofPage page: Int) -> SharedShort { Self.route(ofPage: page, before: tags) }

  /// The same for who has no more of a region than the address of its tags.
  @inline(__always)
  package static func route(ofPage page: Int, before tags: UnsafeMutablePointer<UInt8>) -> SharedShort {
    let routes = UnsafeMutableRawPointer(tags) - RegionLayout.routesBytes
    return SharedShort(routes.assumingMemoryBound(to: UInt16.self) + page)
  }

  /// Where a part of a page's bitmap lies.
  @inline(__always)
  package func bitmap(ofPage page: Int, part: Int) -> UnsafeMutableRawPointer {
    bitmaps + (part &* unitCount &* RegionLayout.pagesPerUnit &+ page) &* RegionLayout.bitmapPartBytes
  }

  /// The tag of the granule that `address` lies in. The address is one of the region.
  @inline(__always)
  package func tag(at address: UInt) -> Tag { Tag(Memory.load(byte(address))) }

  @inline(__always)
  package func setTag(_ tag: Tag, at block: BlockBase) { Memory.store(tag.value, to: byte(block.address)) }

  /// Where the tag of a block of the region lies.
  @inline(__always)
  package func tagAddress(of block: BlockBase) -> TagAddress {
    TagAddress(UInt(bitPattern: tags) &+ (block.address &- base) &>> RegionLayout.granuleShift)
  }

  /// The block whose tag lies there.
  @inline(__always)
  package func block(taggedAt tag: TagAddress) -> BlockBase {
    BlockBase(address: base &+ (tag.value &- UInt(bitPattern: tags)) &<< RegionLayout.granuleShift)
  }

  /// Whether it is the tag of a block of the region that lies there.
  package func contains(_ tag: TagAddress) -> Bool {
    tag.value &- UInt(bitPattern: tags) < UInt(bitPattern: bytes / RegionLayout.granuleBytes)
  }

  /// Changes a tag in one atomic step; false, and no change, when it was not `expected`.
  package func exchangeTag(_ expected: Tag, for desired: Tag, at block: BlockBase) -> Bool {
    Memory.compareExchange(byte(block.address), expected: expected.value, desired: desired.value)
  }

  // MARK: Medium blocks

  /// Says that a medium block is live, which begins at a unit that the caller owns.
  package func setLive(order: Int, at block: BlockBase) {
    setTag(Tag.free(order: order).live, at: block)
    setLastOrder(order, at: block)
  }

  /// Says that a live medium block is of another order from now on; false, and no change, when none of `order` is live there. The
  /// caller owns what it gains or loses.
  package func resize(order: Int, to wanted: Int, at block: BlockBase) -> Bool {
    guard exchangeTag(Tag.free(order: order).live, for: Tag.free(order: wanted).live, at: block) else { return false }
    setLastOrder(wanted, at: block)
    return true
  }

  private func setLastOrder(_ order: Int, at block: BlockBase) {
    Memory.store(UInt8(truncatingIfNeeded: order &+ 1), to: lastOrder(ofUnit: unit(of: block.address)))
  }

  /// The order of the medium block that began there last, also when its tag was purged since; nil where none did, or where
  /// slabs had the unit since. For reports.
  package func lastOrder(at block: BlockBase) -> Int? {
    let unit = unit(of: block.address)
    guard block.address == address(ofUnit: unit), case let order = Memory.load(lastOrder(ofUnit: unit)), order != 0 else { return nil }
    return Int(order) - 1
  }

  /// Says that what begins at a unit from now on is no medium block. The caller owns the unit.
  package func forgetOrder(ofUnit unit: Int) { Memory.store(0, to: lastOrder(ofUnit: unit)) }

  private func lastOrder(ofUnit unit: Int) -> SharedByte { SharedByte(lastOrders + unit) }

  // MARK: Contents

  @inline(__always)
  private func byte(_ address: UInt) -> SharedByte {
    SharedByte(tags + Int(bitPattern: (address &- base) &>> RegionLayout.granuleShift))
  }

  /// Drops the contents of a run of pages, and of their tags, none of which says live. The run has no owner but the
  /// caller. False when the system refuses; the contents are then what they were.
  package func purge(pages: Range<Int>) -> Bool {
    let start = UnsafeMutableRawPointer(bitPattern: address(ofPage: pages.lowerBound)).unsafelyUnwrapped
    guard Memory.purge(start, pages.count * RegionLayout.pageBytes) else { return false }
    purgeTags(ofPages: pages)
    return true
  }

  /// Drops the tags of units that have no owner but the caller, none of which says live.
  package func purgeTags(ofUnits first: Int, _ count: Int) {
    purgeTags(ofPages: (first * RegionLayout.pagesPerUnit)..<((first + count) * RegionLayout.pagesPerUnit))
  }

  private func purgeTags(ofPages pages: Range<Int>) {
    let bytesPerPage = RegionLayout.pageBytes / RegionLayout.granuleBytes
    // Where the system's pages are larger than the tags of one of ours, only whole ones can go.
    let page = System.pageBytes
    let first = (pages.lowerBound * bytesPerPage).roundedUp(to: page)
    let end = (pages.upperBound * bytesPerPage).roundedDown(to: page)
    if first < end { _ = Memory.purge(UnsafeMutableRawPointer(tags) + first, end - first) }
  }
}
