/// How a block of a class, the *borrower*, is made of neighbouring free blocks of a smaller one, the *lender*: coalesced, as a
/// general-purpose heap does with neighbours of any size (Knuth, The Art of Computer Programming, volume 1, 2.5).
///
/// Only classes whose slabs are single pages lend, and what is lent wastes at most a fifth, as size classes do.
package struct LoanShape {
  /// Blocks of the lender that make one of the borrower.
  package let blocks: Int
  /// As a power of two: at every so many blocks of the lender begins one that is aligned as blocks of the borrower are.
  package let stepOrder: Int

  /// Larger loans, and those that may begin at fewer places, are hardly ever found.
  private static var mostBlocks: Int { 12 }
  private static var stepOrders: Int { 4 }

  /// Nil where the lender does not lend to that class.
  package init?(_ borrower: SizeClass, from lender: SizeClass) {
    let (wanted, held) = (borrower.size, lender.size)
    guard borrower.mayBorrow, lender.index < borrower.index, lender.mayLend, held * Self.mostBlocks >= wanted else { return nil }
    blocks = (wanted + held - 1) / held
    // Pages begin at multiples of any power of two that divides a size.
    stepOrder = max(wanted.trailingZeroBitCount - held.trailingZeroBitCount, 0)
    guard (blocks * held - wanted) * 5 <= wanted, stepOrder < Self.stepOrders else { return nil }
  }

  /// The classes that may lend to `borrower`, smallest first.
  package static func candidates(for borrower: SizeClass) -> SizeClasses {
    SizeClasses(SizeClass(holding: borrower.size / mostBlocks).index..<borrower.index)
  }

  // A bit at each block of a word of the bitmap at which one may begin.
  private var aligned: UInt64 {
    switch stepOrder {
    case 0: .max
    case 1: 0x5555_5555_5555_5555
    case 2: 0x1111_1111_1111_1111
    default: 0x0101_0101_0101_0101
    }
  }

  /// As many bits as there are blocks in a loan.
  var run: UInt64 { (1 << UInt64(blocks)) - 1 }

  /// A bit at each block with which a loan may begin.
  /// - Parameters:
  ///   - word: a bit for each of 64 blocks that is home.
  ///   - next: the same for the 64 behind them.
  @inline(__always)
  func starts(_ word: UInt64, followedBy next: UInt64) -> UInt64 {
    var (starts, behind) = (word, next)
    var length = 1
    // Where two runs of a length begin so far apart, a longer one begins.
    while length < blocks, starts != 0 {
      let apart = UInt64(truncatingIfNeeded: min(length, blocks &- length))
      starts &= starts &>> apart | behind &<< (64 &- apart)
      behind &= behind &>> apart
      length &+= Int(truncatingIfNeeded: apart)
    }
    return starts & aligned
  }
}

extension SizeClass {
  /// Whether blocks of the class may be on loan from smaller ones: those above half a page find no holes.
  package var mayBorrow: Bool { size <= RegionLayout.pageBytes / 2 }

  /// Whether its slabs are single pages.
  fileprivate var mayLend: Bool { size <= RegionLayout.pageBytes / 8 }
}
