/// The slabs of each size class: where magazines are filled from and drained to.
///
/// A lock per class, taken after those of larger classes. A class holds only slabs with a block in use: the last block to come home
/// sends its slab back to the pool, so no class hoards; and what lies free in a sparse class's slabs is lent to larger ones before these
/// take fresh pages.
package struct SlabClasses<Memory: SharedMemory> {
  let region: Region<Memory>
  let pool: SlabPool<Memory>
  private let state: UnsafeMutableRawPointer

  /// What the words of a class are.
  enum Field {
    static var lock: Int { 0 }
    /// A slab with blocks at home, page plus one: all of them are in a ring. 0 for none.
    static var first: Int { 1 }
    /// Blocks that are not home: those on loan from smaller classes among them, and not what is lent to larger ones.
    static var taken: Int { 2 }
    /// Blocks of all slabs of the class.
    static var blocks: Int { 3 }
    // A line of its own is for loans from smaller classes.
    /// Blocks that are on loan. Read without the lock, too.
    static var lent: Int { 8 }
    /// The most of them since half were home.
    static var mostLent: Int { 9 }
    /// The tick at which some were borrowed last.
    static var borrowed: Int { 10 }
    /// How often in a row half came home young, up to the limit at which the class rests.
    static var young: Int { 11 }
    /// No loan is looked for before this tick.
    static var rest: Int { 12 }
    /// How often no loan is to be looked for, and how often after the next look that finds little.
    static var pause: Int { 13 }
    static var nextPause: Int { 14 }
  }

  package static var bytes: Int { SizeClass.count * stride }
  private static var stride: Int { 2 * CacheLine.bytes }

  /// `state` is `bytes` long, 64-byte aligned and zero.
  package init(region: Region<Memory>, pool: SlabPool<Memory>, state: UnsafeMutableRawPointer) {
    self.region = region
    self.pool = pool
    self.state = state
  }

  func words(_ sizeClass: SizeClass) -> PlainPointer<Memory, UInt> {
    PlainPointer(state + sizeClass.index * Self.stride)
  }

  /// Taken before the pool's lock, and before those of smaller classes.
  package func lock(_ sizeClass: SizeClass) -> Lock<Memory> { Lock(SharedWord(words(sizeClass) + Field.lock)) }

  /// Blocks of a class that are not home: live, or in a cache or magazine. Blocks on loan are those of the class that borrowed them.
  package func takenCount(_ sizeClass: SizeClass) -> Int {
    lock(sizeClass).withLock { Int(words(sizeClass)[Field.taken]) }
  }

  /// Blocks of a class's slabs less those of the class that are not home: fewer than none where it has blocks on loan, which are other classes'
  /// slabs, so that the sum of all classes is right.
  package func freeCount(_ sizeClass: SizeClass) -> Int {
    lock(sizeClass).withLock { Int(words(sizeClass)[Field.blocks]) - Int(words(sizeClass)[Field.taken]) }
  }

  /// Takes up to `limit` blocks whose tags say free, and calls `body` with each, under the class's lock. Answers how
  /// many: fewer where the class would have to open a slab and may look for loans first, or when memory is out.
  package func take(_ sizeClass: SizeClass, _ limit: Int, _ body: (TagAddress) -> Void) -> Int {
    lock(sizeClass).withLock {
      let words = words(sizeClass)
      var taken = 0
      while taken < limit {
        if let slab = firstSlab(sizeClass) {
          taken += slab.take(limit - taken, body)
          if slab.homeCount == 0 { unlink(slab, words) }
        } else if sizeClass.mayBorrow, taken > 0 {
          // Enough for now: the next call looks for loans before it opens a slab.
          break
        } else {
          let lent = borrow(sizeClass, limit, body)
          taken += lent
          if lent == 0, !openSlab(sizeClass) {
            taken += borrow(sizeClass, limit, isLastResort: true, body)
            break
          }
        }
      }
      words[Field.taken] += UInt(taken)
      return taken
    }
  }

  /// Takes `count` blocks home, whose tags say free and which `block` answers by number. Answers the first one that is live
  /// or was home already, which is a block that was freed twice unseen; it is left as it is, and the rest come home.
  /// - Parameter since: the tick since which they have been of no use; now, unless the caller knows better. A slab that is free with the
  ///   last of them is as old as that.
  @discardableResult
  package func giveBack(_ sizeClass: SizeClass, _ count: Int, since: UInt? = nil, _ block: (Int) -> TagAddress) -> TagAddress? {
    lock(sizeClass).withLock {
      let division = BlockDivision(sizeClass)
      var twice: TagAddress?
      var number = 0
      while number < count {
        let next = giveBackStretch(number..<count, division, since, block)
        // A tag that says live: the other copy of a block freed twice at once has an owner, and stays with it.
        if next == number {
          twice = twice ?? block(number)
          number += 1
        } else {
          number = next
        }
      }
      return twice
    }
  }

  /// Takes blocks home that are of one slab. Answers the number of the first that is not, or can't come home.
  // Long, and not to be copied into each caller.
  @inline(never)
  private func giveBackStretch(_ numbers: Range<Int>, _ division: BlockDivision, _ since: UInt?, _ block: (Int) -> TagAddress) -> Int {
    let sizeClass = division.sizeClass
    let slab = Slab<Memory>(region: region, containing: region.page(of: region.block(taggedAt: block(numbers.lowerBound)).address))
    let next = slab.isOf(sizeClass)
      ? changeHome(slab, division, since) { slab.giveBack(numbers, division, block) }
      : giveBackLoans(numbers, sizeClass, slab, since, block)
    words(sizeClass)[Field.taken] -= UInt(next - numbers.lowerBound)
    return next
  }

  /// Calls `body`, which brings blocks home to a slab, and moves the slab where it then belongs. Under the lock of its class.
  func changeHome(_ slab: Slab<Memory>, _ division: BlockDivision, _ since: UInt?, _ body: () -> Int) -> Int {
    let before = slab.homeCount
    let result = body()
    let home = slab.homeCount
    if home == division.blocks {
      if before > 0 { unlink(slab, words(division.sizeClass)) }
      retire(slab, division.sizeClass, since)
    } else if before == 0, home > 0 {
      link(slab, words(division.sizeClass))
    }
    return result
  }

  private func retire(_ slab: Slab<Memory>, _ sizeClass: SizeClass, _ since: UInt?) {
    slab.close()
    words(sizeClass)[Field.blocks] -= UInt(sizeClass.slabBlocks)
    pool.giveBack(slab, order: sizeClass.slabOrder, since: since)
  }

  func firstSlab(_ sizeClass: SizeClass) -> Slab<Memory>? {
    let first = words(sizeClass)[Field.first]
    return first == 0 ? nil : slab(numbered: Int(first))
  }

  private func slab(numbered number: Int) -> Slab<Memory> { Slab(region: region, page: number - 1) }

  private func openSlab(_ sizeClass: SizeClass) -> Bool {
    guard let slab = pool.take(order: sizeClass.slabOrder) else { return false }
    slab.open(for: sizeClass)
    words(sizeClass)[Field.blocks] += UInt(sizeClass.slabBlocks)
    link(slab, words(sizeClass))
    return true
  }

  // At the front of the ring.
  private func link(_ slab: Slab<Memory>, _ words: PlainPointer<Memory, UInt>) {
    let number = slab.page + 1
    let first = Int(words[Field.first])
    slab.next = first == 0 ? number : first
    slab.previous = first == 0 ? number : self.slab(numbered: first).previous
    self.slab(numbered: slab.previous).next = number
    self.slab(numbered: slab.next).previous = number
    words[Field.first] = UInt(number)
  }

  func unlink(_ slab: Slab<Memory>, _ words: PlainPointer<Memory, UInt>) {
    let number = slab.page + 1
    self.slab(numbered: slab.next).previous = slab.previous
    self.slab(numbered: slab.previous).next = slab.next
    if words[Field.first] == UInt(number) { words[Field.first] = slab.next == number ? 0 : UInt(slab.next) }
  }

  /// Whether a block is home in its slab, of whatever class that is; for reports.
  package func isHome(_ block: TagAddress) -> Bool {
    let slab = Slab<Memory>(region: region, containing: region.page(of: region.block(taggedAt: block).address))
    guard let sizeClass = slab.sizeClass else { return false }
    return lock(sizeClass).withLock { slab.isOf(sizeClass) && slab.isHome(block) }
  }

  /// Whether every listed slab is sound and of its class.
  package func checkInvariants() -> Bool {
    for sizeClass in SizeClass.all {
      let sound = lock(sizeClass).withLock { () -> Bool in
        guard var slab = firstSlab(sizeClass) else { return true }
        repeat {
          guard slab.sizeClass == sizeClass, slab.homeCount > 0, !slab.isEmpty, slab.checkInvariants() else { return false }
          slab = self.slab(numbered: slab.next)
        } while UInt(slab.page + 1) != words(sizeClass)[Field.first]
        return true
      }
      guard sound else { return false }
    }
    return true
  }
}
