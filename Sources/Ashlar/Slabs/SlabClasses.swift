/// The slabs of each size class: where magazines are filled from and drained to.
///
/// A lock per class. A class holds only slabs with a block in use: the last block to come home sends its slab back
/// to the pool, so no class hoards.
package struct SlabClasses<Memory: SharedMemory> {
  private let region: Region<Memory>
  private let pool: SlabPool<Memory>
  private let state: UnsafeMutableRawPointer

  /// Per class, on a line of its own: the lock, the first slab with blocks at home (page plus one), blocks taken.
  package static var bytes: Int { SizeClass.count * 64 }

  /// `state` is `bytes` long, 64-byte aligned and zero.
  package init(region: Region<Memory>, pool: SlabPool<Memory>, state: UnsafeMutableRawPointer) {
    self.region = region
    self.pool = pool
    self.state = state
  }

  private func words(_ sizeClass: SizeClass) -> PlainPointer<Memory, UInt> {
    PlainPointer(state + sizeClass.index * 64)
  }

  /// Taken before the pool's lock.
  package func lock(_ sizeClass: SizeClass) -> Lock<Memory> { Lock(SharedWord(words(sizeClass))) }

  /// Blocks of a class that are not home: live, or in a cache or magazine.
  package func takenCount(_ sizeClass: SizeClass) -> Int {
    lock(sizeClass).withLock { Int(words(sizeClass)[2]) }
  }

  /// Takes up to `limit` blocks whose tags say free, and calls `body` with each, under the class's lock. Answers how
  /// many: fewer, or none, when memory is out.
  package func take(_ sizeClass: SizeClass, _ limit: Int, _ body: (TagAddress) -> Void) -> Int {
    lock(sizeClass).withLock {
      let words = words(sizeClass)
      var taken = 0
      while taken < limit {
        guard let slab = firstSlab(sizeClass) ?? openSlab(sizeClass) else { break }
        taken += slab.take(limit - taken, body)
        if slab.homeCount == 0 { unlink(slab, words) }
      }
      words[2] += UInt(taken)
      return taken
    }
  }

  /// Takes `count` blocks home, whose tags say free and which `block` answers by number. Answers the first one that is live
  /// or was home already, which is a block that was freed twice unseen; it is left as it is, and the rest come home.
  @discardableResult
  package func giveBack(_ sizeClass: SizeClass, _ count: Int, _ block: (Int) -> TagAddress) -> TagAddress? {
    lock(sizeClass).withLock {
      let division = BlockDivision(sizeClass)
      var twice: TagAddress?
      var number = 0
      while number < count {
        let next = giveBackStretch(number..<count, division, block)
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
  private func giveBackStretch(_ numbers: Range<Int>, _ division: BlockDivision, _ block: (Int) -> TagAddress) -> Int {
    let sizeClass = division.sizeClass
    let slab = Slab<Memory>(region: region, containing: region.page(of: region.block(taggedAt: block(numbers.lowerBound)).address))
    guard slab.isOf(sizeClass) else { return numbers.lowerBound }
    let before = slab.homeCount
    let next = slab.giveBack(numbers, division, block)
    let words = words(sizeClass)
    words[2] -= UInt(next - numbers.lowerBound)
    let home = slab.homeCount
    if home == sizeClass.slabBlocks {
      if before > 0 { unlink(slab, words) }
      retire(slab, sizeClass)
    } else if before == 0, home > 0 {
      link(slab, words)
    }
    return next
  }

  private func retire(_ slab: Slab<Memory>, _ sizeClass: SizeClass) {
    slab.close()
    pool.giveBack(slab, order: sizeClass.slabOrder)
  }

  private func firstSlab(_ sizeClass: SizeClass) -> Slab<Memory>? {
    let first = words(sizeClass)[1]
    return first == 0 ? nil : Slab<Memory>(region: region, page: Int(first) - 1)
  }

  private func openSlab(_ sizeClass: SizeClass) -> Slab<Memory>? {
    guard let slab = pool.take(order: sizeClass.slabOrder) else { return nil }
    slab.open(for: sizeClass)
    link(slab, words(sizeClass))
    return slab
  }

  private func link(_ slab: Slab<Memory>, _ words: PlainPointer<Memory, UInt>) {
    slab.previous = 0
    slab.next = Int(words[1])
    if words[1] != 0 { Slab<Memory>(region: region, page: Int(words[1]) - 1).previous = slab.page + 1 }
    words[1] = UInt(slab.page + 1)
  }

  private func unlink(_ slab: Slab<Memory>, _ words: PlainPointer<Memory, UInt>) {
    if slab.next != 0 { Slab<Memory>(region: region, page: slab.next - 1).previous = slab.previous }
    if slab.previous != 0 {
      Slab<Memory>(region: region, page: slab.previous - 1).next = slab.next
    } else {
      words[1] = UInt(slab.next)
    }
  }

  /// Whether a block is home in its slab; for reports.
  package func isHome(_ block: TagAddress, _ sizeClass: SizeClass) -> Bool {
    lock(sizeClass).withLock {
      let slab = Slab<Memory>(region: region, containing: region.page(of: region.block(taggedAt: block).address))
      return slab.sizeClass == sizeClass && slab.isHome(block)
    }
  }

  /// Whether every listed slab is sound and of its class.
  package func checkInvariants() -> Bool {
    for index in 0..<SizeClass.count {
      let sizeClass = SizeClass(index: index)
      let sound = lock(sizeClass).withLock { () -> Bool in
        var page = Int(words(sizeClass)[1])
        while page != 0 {
          let slab = Slab<Memory>(region: region, page: page - 1)
          guard slab.sizeClass == sizeClass, slab.homeCount > 0, !slab.isEmpty, slab.checkInvariants() else { return false }
          page = slab.next
        }
        return true
      }
      guard sound else { return false }
    }
    return true
  }
}
