/// A slab: a run of 1, 2, 4, 8 or 16 pages of 64 KiB, aligned to its own length, cut into blocks of one class.
///
/// Its record is the descriptor of its first page and a bitmap of the blocks that are home; each page has a route, to the
/// bin of its class unless some of its blocks are on loan. Nothing is written into the blocks themselves. A descriptor is read and written under the lock of its class, or, while the pages are in
/// no slab, under the pool's. Only the route, and the two bytes that say which slab a page is part of, and of what class, are
/// read without a lock: by who looks up a block that may be none. Under a class's lock a slab that says it is of that class
/// stays so.
package struct Slab<Memory: SharedMemory> {
  package let region: Region<Memory>
  /// Number of its first page in the region.
  package let page: Int

  package init(region: Region<Memory>, page: Int) {
    self.region = region
    self.page = page
  }

  /// The slab that a page is part of.
  package init(region: Region<Memory>, containing page: Int) {
    self.region = region
    self.page = page &- Int(Memory.load(Slab(region: region, page: page).pageOffset))
  }

  private enum Field {
    static var homeCount: Int { 0 }
    static var next: Int { 1 }
    static var previous: Int { 2 }
    static var firstWord: Int { 3 }
    // Bytes behind the words.
    static var tag: Int { 16 }
    static var pageOffset: Int { 17 }
    // Words again.
    static var lentCount: Int { 5 }
    static var unfit: Int { 6 }
  }

  private var words: PlainPointer<Memory, UInt32> {
    PlainPointer(region.descriptors + page &* RegionLayout.descriptorBytes)
  }

  var bitmap: SlabBitmap<Memory> { SlabBitmap(region: region, page: page) }

  private func byte(_ offset: Int) -> SharedByte {
    SharedByte((region.descriptors + page &* RegionLayout.descriptorBytes + offset).assumingMemoryBound(to: UInt8.self))
  }
  private var tag: SharedByte { byte(Field.tag) }
  private var pageOffset: SharedByte { byte(Field.pageOffset) }

  /// The class that its blocks are of; nil for pages that are in no slab.
  package var sizeClass: SizeClass? { Tag(Memory.load(tag)).sizeClass }

  /// The same as a comparison, for who knows what it should be.
  @inline(__always)
  package func isOf(_ sizeClass: SizeClass) -> Bool { Memory.load(tag) == Tag.free(sizeClass).value }

  /// Blocks that are home, out of `blockCount`.
  package internal(set) var homeCount: Int {
    get { Int(words[Field.homeCount]) }
    nonmutating set { words[Field.homeCount] = UInt32(newValue) }
  }
  package var blockCount: Int { sizeClass?.slabBlocks ?? 0 }
  package var isEmpty: Bool { homeCount == blockCount }

  /// Neighbours in its class's list of slabs with blocks at home, as page number plus one; 0 for none.
  package var next: Int {
    get { Int(words[Field.next]) }
    nonmutating set { words[Field.next] = UInt32(truncatingIfNeeded: newValue) }
  }
  package var previous: Int {
    get { Int(words[Field.previous]) }
    nonmutating set { words[Field.previous] = UInt32(truncatingIfNeeded: newValue) }
  }

  /// Blocks of larger classes that are made of its own, and not home.
  package internal(set) var lentCount: Int {
    get { Int(words[Field.lentCount]) }
    nonmutating set { words[Field.lentCount] = UInt32(newValue) }
  }

  /// For each `LoanShape.stepOrder` a byte: a run of so many blocks at home begins nowhere that it may.
  var unfit: UInt32 {
    get { words[Field.unfit] }
    nonmutating set { words[Field.unfit] = newValue }
  }
  static var nothingUnfit: UInt32 { .max }

  package var pages: Range<Int> {
    page..<(page + (1 << (sizeClass?.slabOrder ?? 0)))
  }

  private var start: UInt { region.address(ofPage: page) }

  // MARK: Life

  /// Cuts the pages into blocks of a class, all of them home.
  package func open(for sizeClass: SizeClass) {
    let pages = 1 << sizeClass.slabOrder
    for offset in 0..<pages {
      let part = Slab(region: region, page: page + offset)
      Memory.store(UInt8(truncatingIfNeeded: offset), to: part.pageOffset)
      Memory.store(Tag.free(sizeClass).value, to: part.tag)
      part.openRoute(sizeClass)
    }
    let blocks = sizeClass.slabBlocks
    homeCount = blocks
    unfit = Self.nothingUnfit
    lentCount = 0
    words[Field.firstWord] = 0
    next = 0
    previous = 0
    for word in 0..<((blocks + 63) / 64) {
      let left = blocks - word * 64
      bitmap[word] = left >= 64 ? .max : (1 << UInt64(left)) - 1
    }
  }

  /// Leads who frees blocks of this page to the bin of a class.
  func openRoute(_ sizeClass: SizeClass) {
    Memory.store(UInt16(truncatingIfNeeded: BinLayout.offset(of: sizeClass)), to: region.route(ofPage: page))
  }

  /// Ends the slab, whose blocks are all home. Their tags, which say free, are left standing: they are what a report
  /// of a late second free goes by.
  package func close() {
    for page in pages {
      let part = Slab(region: region, page: page)
      Memory.store(0, to: region.route(ofPage: page))
      Memory.store(0, to: part.tag)
      Memory.store(0, to: part.pageOffset)
    }
  }

  // MARK: Blocks

  private var firstTag: UInt { region.tagAddress(of: BlockBase(address: start)).value }

  @inline(__always)
  func tagAddress(_ index: Int, _ sizeClass: SizeClass) -> TagAddress {
    TagAddress(firstTag &+ UInt(bitPattern: index &* sizeClass.granules))
  }

  /// Takes up to `limit` blocks, lowest addresses first, each with a tag that says free, and calls `body` with each.
  /// Answers how many.
  package func take(_ limit: Int, _ body: (TagAddress) -> Void) -> Int {
    let sizeClass = sizeClass.unsafelyUnwrapped
    let wanted = min(limit, homeCount)
    var word = Int(words[Field.firstWord])
    var taken = 0
    while taken < wanted {
      var bits = bitmap[word]
      while bits != 0, taken < wanted {
        let first = bits.trailingZeroBitCount
        let run = min((~(bits &>> UInt64(first))).trailingZeroBitCount, wanted &- taken)
        takeRun(tagAddress(word &* 64 &+ first, sizeClass), run, sizeClass, body)
        bits &= ~((.max &>> UInt64(64 &- run)) &<< UInt64(first))
        taken &+= run
      }
      bitmap[word] = bits
      if bits == 0 { word &+= 1 }
    }
    words[Field.firstWord] = UInt32(truncatingIfNeeded: word)
    homeCount -= taken
    return taken
  }

  // Neighbours, lowest address first.
  @inline(__always)
  private func takeRun(_ first: TagAddress, _ count: Int, _ sizeClass: SizeClass, _ body: (TagAddress) -> Void) {
    let tag = Tag.free(sizeClass).value
    let step = UInt(bitPattern: sizeClass.granules)
    var block = first
    for _ in 0..<count {
      Memory.store(tag, to: block.byte)
      body(block)
      block = TagAddress(block.value &+ step)
    }
  }

  /// Takes blocks home for as long as they are its own, `block` answering them by number. Answers the number of the first
  /// that is not: `count`, or one of another slab, or one that was home already or has a tag that does not say free.
  /// - Parameter division: that of its class.
  package func giveBack(
    _ numbers: Range<Int>, _ division: BlockDivision, _ block: (Int) -> TagAddress
  ) -> Int {
    let (firstTag, free) = (firstTag, Memory.load(tag))
    let granules = UInt(bitPattern: division.granules)
    // Of the bitmap's words one at a time is at hand: blocks come home in stretches.
    var word = division.index(Int(bitPattern: block(numbers.lowerBound).value &- firstTag)) &>> 6
    var bits = bitmap[word]
    var first = Int(words[Field.firstWord])
    var number = numbers.lowerBound
    while number < numbers.upperBound {
      let tag = block(number)
      let granule = tag.value &- firstTag
      guard granule < granules, Memory.load(tag.byte) == free else { break }
      let index = division.index(Int(bitPattern: granule))
      if index &>> 6 != word {
        bitmap[word] = bits
        first = min(first, word)
        word = index &>> 6
        bits = bitmap[word]
      }
      let bit: UInt64 = 1 &<< UInt64(truncatingIfNeeded: index)
      guard bits & bit == 0 else { break }
      bits |= bit
      number &+= 1
    }
    bitmap[word] = bits
    words[Field.firstWord] = UInt32(truncatingIfNeeded: min(first, word))
    unfit = Self.nothingUnfit
    homeCount += number &- numbers.lowerBound
    return number
  }

  /// Says that blocks have come home, of which this is the first.
  func noteHome(from index: Int) {
    words[Field.firstWord] = min(words[Field.firstWord], UInt32(index / 64))
    unfit = Self.nothingUnfit
  }

  /// Granules from the slab's start to a block.
  func offset(of block: TagAddress) -> Int { Int(bitPattern: block.value &- firstTag) }

  /// Whether a block is home, and so none of a larger class that begins there is live.
  package func isHome(_ block: TagAddress) -> Bool {
    guard let sizeClass else { return false }
    return isHome(BlockDivision(sizeClass).index(offset(of: block)))
  }

  func isHome(_ index: Int) -> Bool { bitmap[index / 64] & (1 << UInt64(index % 64)) != 0 }

  /// Whether counts, bitmap and route agree, and no block at home has a tag that says live.
  package func checkInvariants() -> Bool {
    guard let sizeClass, homeCount <= blockCount else { return false }
    let route = lentCount == 0 ? BinLayout.offset(of: sizeClass) : 0
    guard Int(Memory.load(region.route(ofPage: page))) == route else { return false }
    var home = 0
    for word in 0..<((blockCount + 63) / 64) {
      var bits = bitmap[word]
      home += bits.nonzeroBitCount
      while bits != 0 {
        let index = word * 64 + bits.trailingZeroBitCount
        if index >= blockCount || Tag(Memory.load(tagAddress(index, sizeClass).byte)).isLive { return false }
        bits &= bits - 1
      }
    }
    return home == homeCount
  }
}

/// Divides the granule of a block in its slab by the granules of its class, without the division that takes longer than all
/// the rest of what brings a block home.
///
/// A granule is a multiple n of the divisor, below 2^16, and the reciprocal is 2^40 / divisor rounded up by less than 1: the
/// product is n 2^40 and less than 2^16 more, and below 2^57.
///
/// What else a slab's size is divided for is worked out here too, once for all blocks that come home together.
package struct BlockDivision {
  package let sizeClass: SizeClass
  /// Blocks of a slab.
  package let blocks: Int
  /// Granules of all of them.
  package let granules: Int
  private let reciprocal: Int

  package init(_ sizeClass: SizeClass) {
    self.sizeClass = sizeClass
    blocks = sizeClass.slabBlocks
    granules = blocks &* sizeClass.granules
    reciprocal = ((1 &<< 40) &+ sizeClass.granules &- 1) / sizeClass.granules
  }

  @inline(__always)
  package func index(_ granule: Int) -> Int { (granule &* reciprocal) &>> 40 }
}

extension SizeClass {
  package static let largestSlabOrder = 4

  /// Granules of a block.
  package var granules: Int { size &>> Int(bitPattern: RegionLayout.granuleShift) }

  /// Blocks of a slab.
  package var slabBlocks: Int { (RegionLayout.pageBytes << slabOrder) / size }

  /// Pages of a slab, as a power of two: room for at least 8 blocks, or 1 MiB.
  package var slabOrder: Int {
    var order = 0
    while order < Self.largestSlabOrder && (RegionLayout.pageBytes << order) < 8 * size { order += 1 }
    return order
  }
}
