/// Loans between classes: what lies free in the slabs of smaller classes, before a class takes fresh pages.
///
/// Only *sparse* classes lend, whose blocks are mostly free: those of a program that has them in use, or that just begins, keep what they
/// have. A class looks at few slabs at a time, and pauses when it finds little.
///
/// Loans are for memory that stays in use. Where half of a class's loans come home within the time that free memory is kept, counted from when it borrowed last,
/// and three times in a row, it *rests* and borrows nothing for as long: a program whose phases are that short gets its memory back warm in the next one.
extension SlabClasses {
  private static var slabsPerLook: Int { 8 }
  private static var littleFound: Int { 8 }
  private static var longestPause: UInt { 63 }
  private static var mostYoung: UInt { 3 }

  /// Whether a class is about to look for loans: it has no block at home, no free page holds memory, and it neither pauses nor rests.
  package func isShort(_ sizeClass: SizeClass) -> Bool {
    guard sizeClass.mayBorrow else { return false }
    return lock(sizeClass).withLock {
      firstSlab(sizeClass) == nil && words(sizeClass)[Field.pause] == 0 && wantsLoans(sizeClass)
    }
  }

  // Whether it does not rest, and would need fresh pages for a slab.
  private func wantsLoans(_ sizeClass: SizeClass) -> Bool {
    words(sizeClass)[Field.rest] <= pool.retention.now && !pool.holdsMemory(pages: 1 << sizeClass.slabOrder)
  }

  /// Whether a class has slabs of a unit or more, and at most half of their blocks are in use.
  /// - Parameter waiting: blocks that are free although they are not home.
  package func isSparse(_ sizeClass: SizeClass, but waiting: Int) -> Bool {
    lock(sizeClass).withLock { isSparseLocked(sizeClass, but: waiting) }
  }

  private func isSparseLocked(_ sizeClass: SizeClass, but waiting: Int) -> Bool {
    let words = words(sizeClass)
    let (taken, blocks) = (Int(words[Field.taken]), Int(words[Field.blocks]))
    return blocks * sizeClass.size >= RegionLayout.unitBytes && (taken - waiting) * 2 <= blocks
  }

  private func lentCount(_ sizeClass: SizeClass) -> SharedWord { SharedWord(words(sizeClass) + Field.lent) }

  /// Whether a class has blocks on loan.
  package func hasLoans(_ sizeClass: SizeClass) -> Bool { Memory.load(lentCount(sizeClass)) != 0 }

  private func noteBorrowed(_ count: Int, _ sizeClass: SizeClass) {
    guard count > 0 else { return }
    let (words, lent) = (words(sizeClass), Memory.load(lentCount(sizeClass)) + UInt(count))
    Memory.store(lent, to: lentCount(sizeClass))
    words[Field.mostLent] = max(words[Field.mostLent], lent)
    words[Field.borrowed] = pool.retention.now
  }

  private func noteReturned(_ count: Int, _ sizeClass: SizeClass) {
    let (words, lent) = (words(sizeClass), Memory.load(lentCount(sizeClass)) - UInt(count))
    Memory.store(lent, to: lentCount(sizeClass))
    guard lent * 2 < words[Field.mostLent] else { return }
    words[Field.mostLent] = 0
    let (now, delay) = (pool.retention.now, pool.retention.delay)
    // The clock may have been set back, by who resumed the process elsewhere.
    let age = Int(bitPattern: now &- words[Field.borrowed])
    words[Field.young] = age < Int(bitPattern: delay) ? min(words[Field.young] + 1, Self.mostYoung) : 0
    if words[Field.young] == Self.mostYoung { words[Field.rest] = now + delay }
  }

  /// Takes up to `limit` blocks on loan, under the lock of the class that borrows them. Answers how many.
  /// - Parameter isLastResort: whether there are no pages at all; it looks then even while it pauses or rests.
  func borrow(_ sizeClass: SizeClass, _ limit: Int, isLastResort: Bool = false, _ body: (TagAddress) -> Void) -> Int {
    guard sizeClass.mayBorrow, isLastResort || wantsLoans(sizeClass) else { return 0 }
    let words = words(sizeClass)
    guard isLastResort || words[Field.pause] == 0 else {
      words[Field.pause] -= 1
      return 0
    }
    var (lent, looks) = (0, 0)
    // The smallest first: the holes that are left are larger ones.
    for lender in LoanShape.candidates(for: sizeClass) where lent < limit {
      guard let found = borrow(sizeClass, from: lender, limit - lent, body) else { continue }
      lent += found
      looks += 1
    }
    noteBorrowed(lent, sizeClass)
    let isInVain = looks > 0 && lent < min(limit, Self.littleFound)
    words[Field.pause] = isInVain ? words[Field.nextPause] : 0
    words[Field.nextPause] = isInVain ? min(2 * words[Field.nextPause] + 1, Self.longestPause) : 0
    return lent
  }

  // Nil where that class does not lend to this one, or is not sparse.
  private func borrow(_ sizeClass: SizeClass, from lender: SizeClass, _ limit: Int, _ body: (TagAddress) -> Void) -> Int? {
    guard let shape = LoanShape(sizeClass, from: lender) else { return nil }
    return lock(lender).withLock {
      guard isSparseLocked(lender, but: 0) else { return nil }
      var lent = 0
      for _ in 0..<Self.slabsPerLook {
        guard lent < limit, let slab = firstSlab(lender) else { break }
        lent += slab.lend(sizeClass, shape, limit - lent, body)
        // The next look begins with the next one; this one comes last.
        if lent < limit { words(lender)[Field.first] = UInt(slab.next) }
        if slab.homeCount == 0 { unlink(slab, words(lender)) }
      }
      return lent
    }
  }

  /// Takes blocks home that were lent by one slab, under the lock of the class that borrowed them. Answers the number of the first that
  /// was not, or can't come home.
  // Seldom called, and not to be copied into each caller.
  @inline(never)
  func giveBackLoans(_ numbers: Range<Int>, _ sizeClass: SizeClass, _ slab: Slab<Memory>, _ since: UInt?, _ block: (Int) -> TagAddress) -> Int {
    // A slab with a block on loan stays of its class.
    guard let lender = slab.sizeClass, let shape = LoanShape(sizeClass, from: lender) else { return numbers.lowerBound }
    let division = BlockDivision(lender)
    let next = lock(lender).withLock {
      guard slab.isOf(lender) else { return numbers.lowerBound }
      return changeHome(slab, division, since) {
        numbers.first { !slab.contains(block($0)) || !slab.takeBack(block($0), lentTo: sizeClass, shape, division) } ?? numbers.upperBound
      }
    }
    noteReturned(next - numbers.lowerBound, sizeClass)
    return next
  }
}
