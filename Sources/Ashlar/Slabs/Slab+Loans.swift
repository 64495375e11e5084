/// Loans: neighbouring blocks at home that are handed out as one block of a larger class.
///
/// The tag of a lent block says its own class, and so what goes by tags needs to know nothing of loans. The hot path goes
/// by the page: while a slab has blocks out on loan its route leads to the null bin, and who frees any of its blocks goes by the tag. The
/// route is taken away before the first one is handed out, under the lock of the slab's class, and whoever frees a lent block has it
/// from there: by a route from before only blocks of the slab's own class are freed. It is put back when the last one has come home.
extension Slab {
  /// Coalesces blocks at home into up to `limit` of a larger class, lowest addresses first, each with a tag that says free, and calls
  /// `body` with each. Answers how many. O(blocks / 64).
  package func lend(_ borrower: SizeClass, _ shape: LoanShape, _ limit: Int, _ body: (TagAddress) -> Void) -> Int {
    guard mayFit(shape), let lender = sizeClass else { return 0 }
    if lentCount == 0 { Memory.store(0, to: region.route(ofPage: page)) }
    let words = (lender.slabBlocks &+ 63) / 64
    var (lent, word) = (0, 0)
    while lent < limit, word < words {
      var bits = bitmap[word]
      var next = word &+ 1 < words ? bitmap[word &+ 1] : 0
      var starts = shape.starts(bits, followedBy: next)
      while starts != 0, lent < limit {
        let first = UInt64(truncatingIfNeeded: starts.trailingZeroBitCount)
        let run = shape.run &<< first
        starts &= ~run
        bits &= ~run
        next &= ~(first == 0 ? 0 : shape.run &>> (64 &- first))
        body(lend(word &* 64 &+ Int(truncatingIfNeeded: first), shape, of: lender, to: borrower))
        lent &+= 1
      }
      bitmap[word] = bits
      word &+= 1
      if word < words { bitmap[word] = next }
    }
    homeCount -= lent * shape.blocks
    lentCount += lent
    if lentCount == 0 { openRoute(lender) }
    if lent < limit { noteUnfit(shape) }
    return lent
  }

  private func mayFit(_ shape: LoanShape) -> Bool { shape.blocks < Int(unfit >> UInt32(8 * shape.stepOrder) & 0xFF) }

  private func noteUnfit(_ shape: LoanShape) {
    let place = UInt32(8 * shape.stepOrder)
    unfit = unfit & ~(0xFF << place) | UInt32(shape.blocks) << place
  }

  @inline(__always)
  private func lend(_ first: Int, _ shape: LoanShape, of lender: SizeClass, to borrower: SizeClass) -> TagAddress {
    // Inside a block no block begins.
    setInnerTags(first, shape, .none, lender)
    let block = tagAddress(first, lender)
    Memory.store(Tag.free(borrower).value, to: block.byte)
    return block
  }

  /// Takes home a block that was lent; false when it is none, is live, or is home already. A block that was freed twice at once may come
  /// here when its page has long been cut into other blocks: its tag still says what it was, unless a block begins there now.
  /// - Parameter division: that of the slab's class.
  package func takeBack(_ block: TagAddress, lentTo borrower: SizeClass, _ shape: LoanShape, _ division: BlockDivision) -> Bool {
    guard Memory.load(block.byte) == Tag.free(borrower).value else { return false }
    let first = division.index(offset(of: block))
    guard lentCount > 0, first * division.sizeClass.granules == offset(of: block), first + shape.blocks <= division.blocks, bringHome(shape.run, from: first)
    else { return false }
    // What was freed here before it was lent is free again, should it be freed once more.
    setInnerTags(first, shape, .free(division.sizeClass), division.sizeClass)
    homeCount += shape.blocks
    lentCount -= 1
    noteHome(from: first)
    if lentCount == 0 { openRoute(division.sizeClass) }
    return true
  }

  // Those of all blocks of a loan but the first.
  @inline(__always)
  private func setInnerTags(_ first: Int, _ shape: LoanShape, _ tag: Tag, _ lender: SizeClass) {
    var block = tagAddress(first, lender)
    for _ in 1..<shape.blocks {
      block = TagAddress(block.value &+ UInt(bitPattern: lender.granules))
      Memory.store(tag.value, to: block.byte)
    }
  }

  /// Whether a block lies in this slab of a single page.
  package func contains(_ block: TagAddress) -> Bool { UInt(bitPattern: offset(of: block)) >> RegionLayout.pageGranulesShift == 0 }

  // A run of blocks, a bit for each; false, and nothing done, when one of them is home.
  @inline(__always)
  private func bringHome(_ run: UInt64, from first: Int) -> Bool {
    let (word, place) = (first &>> 6, UInt64(truncatingIfNeeded: first & 63))
    let (here, next) = (run &<< place, place == 0 ? 0 : run &>> (64 &- place))
    guard bitmap[word] & here == 0, next == 0 || bitmap[word &+ 1] & next == 0 else { return false }
    bitmap[word] |= here
    if next != 0 { bitmap[word &+ 1] |= next }
    return true
  }
}
