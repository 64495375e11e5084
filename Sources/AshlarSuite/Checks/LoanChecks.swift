import Ashlar

#if canImport(Glibc)
import Glibc
#endif

/// Blocks of larger classes that are made of neighbouring free ones of smaller classes.
extension Check {
  static let loanShapes = Check(
    "loan-shapes", "loans: for every two classes, where in a slab blocks of the one are found in the other, each beside a plain search"
  ) { context in
    var generator = context.generator()
    for borrower in SizeClass.all {
      for lender in SizeClass.all {
        guard let shape = LoanShape(borrower, from: lender) else { continue }
        let wasted = shape.blocks * lender.size - borrower.size
        context.require(
          borrower.size > lender.size && lender.slabOrder == 0 && wasted >= 0 && wasted * 5 <= borrower.size,
          "\(borrower.size) B are lent as \(shape.blocks) blocks of \(lender.size) B")
        for density in [0.5, 0.75, 0.9, 1] { lend(shape, borrower, lender, density, context, &generator) }
      }
    }
  }

  // One slab some of whose blocks are home: what it lends, what its record and tags say then, and that it all comes home once.
  private static func lend(
    _ shape: LoanShape, _ borrower: SizeClass, _ lender: SizeClass, _ density: Double, _ context: CheckContext,
    _ generator: inout SeededGenerator
  ) {
    let layers = OwnLayers(mebibytes: 4)
    guard let slab = layers.pool.take(order: 0) else { return context.find("no pages") }
    slab.open(for: lender)
    let start = layers.region.address(ofPage: slab.page)
    var all: [UInt] = []
    _ = slab.take(lender.slabBlocks) { all.append(layers.region.block(taggedAt: $0).address) }
    var home = all.map { _ in Double.random(in: 0..<1, using: &generator) < density }
    let division = BlockDivision(lender)
    for (index, block) in all.enumerated() where home[index] { _ = slab.giveBack(0..<1, division) { _ in layers.tag(block) } }
    let homeBefore = home

    // The first that fits, again and again.
    var expected: [UInt] = []
    var index = 0
    while index + shape.blocks <= home.count {
      let run = index..<(index + shape.blocks)
      if home[run].allSatisfy({ $0 }), (all[index] - start).isMultiple(of: UInt(borrower.size & -borrower.size)) {
        expected.append(all[index])
        for block in run { home[block] = false }
        index = run.upperBound
      } else {
        index += 1
      }
    }
    var lent: [UInt] = []
    let first = expected.count / 2
    for limit in [first, expected.count + 1] {
      let count = lent.count
      let answer = slab.lend(borrower, shape, limit) { lent.append(layers.region.block(taggedAt: $0).address) }
      context.require(answer == lent.count - count, "\(borrower.size) from \(lender.size) B: \(answer) lent, \(lent.count - count) told")
    }
    context.require(lent == expected, "\(borrower.size) from \(lender.size) B: \(lent.count) lent where \(expected.count) fit")
    context.require(slab.lend(borrower, shape, 1) { _ in } == 0, "\(borrower.size) from \(lender.size) B: more is lent than fits")
    for block in lent {
      let inner = (1..<shape.blocks).map { layers.region.tag(at: block + UInt($0 * lender.size)) }
      context.require(
        layers.region.tag(at: block) == .free(borrower) && inner.allSatisfy { $0 == .none }, "\(borrower.size) from \(lender.size) B: tags that say otherwise")
    }
    func isSound(_ home: [Bool], lent: Int) -> Bool {
      slab.homeCount == home.filter { $0 }.count && slab.lentCount == lent && slab.checkInvariants()
        && zip(all, home).allSatisfy { slab.isHome(layers.tag($0)) == $1 }
    }
    context.require(isSound(home, lent: lent.count), "\(borrower.size) from \(lender.size) B: a record that says otherwise once lent")

    for block in lent.shuffled(using: &generator) {
      layers.region.setTag(Tag.free(borrower).live, at: BlockBase(address: block))
      context.require(!slab.takeBack(layers.tag(block), lentTo: borrower, shape, division), "\(borrower.size) B: a live block comes home")
      layers.region.setTag(.free(borrower), at: BlockBase(address: block))
      context.require(slab.takeBack(layers.tag(block), lentTo: borrower, shape, division), "\(borrower.size) B: a block that was lent does not come home")
      context.require(!slab.takeBack(layers.tag(block), lentTo: borrower, shape, division), "\(borrower.size) B: a block comes home twice")
    }
    context.require(isSound(homeBefore, lent: 0), "\(borrower.size) from \(lender.size) B: a record that says otherwise after all")
    var again: [UInt] = []
    _ = slab.take(lender.slabBlocks) { again.append(layers.region.block(taggedAt: $0).address) }
    context.require(again == zip(all, homeBefore).filter(\.1).map(\.0), "\(lender.size) B: other blocks are home after loans than before")
    for block in again { _ = slab.giveBack(0..<1, division) { _ in layers.tag(block) } }
    refuseStale(shape, borrower, slab, layers, context)
    context.count(1)
  }

  // A block of the page's earlier life whose tag stands where no block begins, or where one is away that was never lent.
  private static func refuseStale(
    _ shape: LoanShape, _ borrower: SizeClass, _ slab: Slab<HardwareMemory>, _ layers: OwnLayers, _ context: CheckContext
  ) {
    guard let lender = slab.sizeClass, lender.size > 16 else { return }
    _ = slab.take(lender.slabBlocks) { _ in }
    let start = layers.region.address(ofPage: slab.page)
    func isTaken(at offset: Int) -> Bool {
      let block = BlockBase(address: start + UInt(offset))
      let before = layers.region.tag(at: block.address)
      layers.region.setTag(.free(borrower), at: block)
      defer { layers.region.setTag(before, at: block) }
      return slab.takeBack(layers.region.tagAddress(of: block), lentTo: borrower, shape, BlockDivision(lender))
    }
    context.require(!isTaken(at: 0) && !isTaken(at: 16), "\(borrower.size) B: what was never lent comes home")
    // While another is on loan, which is not enough to make it one.
    for index in 0..<shape.blocks { _ = slab.giveBack(0..<1, BlockDivision(lender)) { _ in layers.tag(start + UInt(index * lender.size)) } }
    context.require(slab.lend(borrower, shape, 1) { _ in } == 1 && !isTaken(at: 16), "\(borrower.size) B: what begins inside a block comes home")
    context.require(slab.takeBack(layers.tag(start), lentTo: borrower, shape, BlockDivision(lender)), "\(borrower.size) B: a loan does not come home")
    _ = slab.take(lender.slabBlocks) { _ in }
    for index in 0..<lender.slabBlocks { _ = slab.giveBack(0..<1, BlockDivision(lender)) { _ in layers.tag(start + UInt(index * lender.size)) } }
  }

  static let loans = Check(
    "loans", "loans: a sparse heap grows into its holes; what it has there is whole, its own, detected, and comes home"
  ) { context in
    let pool = PoolAllocator()
    guard let heap = ProcessHeap.shared else { return context.find("no heap") }
    for (small, large) in [(48, 192), (64, 320), (256, 512), (240, 960), (1024, 5000)] {
      var generator = context.generator()
      let (smallClass, largeClass) = (SizeClass(holding: small), SizeClass(holding: large))
      pool.trim()
      let away = [smallClass, largeClass].map { heap.slabs.takenCount($0) }
      var kept: Set<UnsafeMutableRawPointer> = []
      var freed: [UnsafeMutableRawPointer] = []
      for _ in 0..<((6 << 20) / small) {
        guard let block = pool.allocateIfPossible(size: small) else { return context.find("no memory") }
        if Int.random(in: 0..<4, using: &generator) == 0 { kept.insert(block) } else { freed.append(block) }
      }
      for block in kept { mark(block, small, 1) }
      freed.forEach { pool.deallocate($0) }
      // Who uses more memory first is not short of it: what is free and holds some goes first.
      pool.purge()
      var blocks: [UnsafeMutableRawPointer] = []
      // A class of which loans came home of late rests.
      for _ in 0..<40 where !heap.slabs.hasLoans(largeClass) {
        blocks += (0..<200).compactMap { _ in pool.allocateIfPossible(size: large) }
        if !heap.slabs.hasLoans(largeClass) { usleep(100_000) }
      }
      context.require(heap.slabs.hasLoans(largeClass), "\(large) B: nothing is lent, of \(freed.count) free blocks of \(small) B")
      blocks += (0..<((2 << 20) / large)).compactMap { _ in pool.allocateIfPossible(size: large) }
      for block in blocks { mark(block, large, 2) }
      let lent = blocks.filter { isLent($0, heap) }
      context.require(lent.count * 3 > blocks.count, "\(large) B: of \(blocks.count) blocks \(lent.count) are lent")
      context.require(kept.allSatisfy { isMarked($0, small, 1) } && blocks.allSatisfy { isMarked($0, large, 2) }, "\(large) B: two blocks overlap")
      context.require(blocks.allSatisfy { UInt(bitPattern: $0) % UInt(largeClass.size & -largeClass.size) == 0 }, "\(large) B: a block is not aligned as its class")
      context.require(lent.allSatisfy { pool.usableSize(of: $0) == largeClass.size }, "\(large) B: a lent block is of another size")
      if let block = lent.first { faults(block, large, smallClass.size, pool, context) }
      context.require(pool.checkInvariants(), "\(large) B: the heap's records do not agree")
      for block in blocks.shuffled(using: &generator) where block != lent.first {
        pool.deallocate(block)
      }
      let waiting = lent.filter { heap.depots.holds(heap.region.tagAddress(of: BlockBase(address: UInt(bitPattern: $0))), largeClass) }
      context.require(waiting.isEmpty, "\(large) B: \(waiting.count) blocks on loan wait in a stack")
      kept.forEach { pool.deallocate($0) }
      pool.trim()
      context.require(!heap.slabs.hasLoans(largeClass), "\(large) B: loans are out after all was freed")
      context.require([smallClass, largeClass].map { heap.slabs.takenCount($0) } == away, "\(large) B: blocks are away after all was freed")
      context.require(pool.checkInvariants(), "\(large) B: the heap's records do not agree after all was freed")
      context.count(blocks.count)
    }
  }

  static let loanPolicy = Check(
    "loan-policy", "loans: who lends, and who borrows: not what is in use, not before warm pages, not while loans only come and go"
  ) { context in
    lending(context)
    resting(context)
    pausing(context)
    lastResort(context)
  }

  private static let (lender, borrower) = (SizeClass(holding: 1024), SizeClass(holding: 2048))

  // A unit of the lender's slabs, all of whose blocks are in use.
  private static func filled(delay: UInt, _ lender: SizeClass) -> (layers: OwnLayers, blocks: [UInt]) {
    let layers = OwnLayers(mebibytes: 16, delay: delay)
    return (layers, layers.blocks(lender, 16 * lender.slabBlocks))
  }

  // Whether one block more of a class is lent; it goes home at once.
  private static func lends(_ layers: OwnLayers, to borrower: SizeClass = borrower) -> Bool {
    let blocks = layers.blocks(borrower, 1)
    defer {
      _ = layers.giveBack(borrower, blocks)
      layers.pool.purge(all: true)
      layers.buddy.purge(all: true)
    }
    return layers.slabs.hasLoans(borrower)
  }

  private static func lending(_ context: CheckContext) {
    let (layers, blocks) = filled(delay: 0, lender)
    context.require(!lends(layers), "a full class lends")
    // Neighbours by twos, so that there are holes.
    let holes = blocks.indices.filter { $0 % 8 < 2 }.map { blocks[$0] }
    _ = layers.giveBack(lender, holes)
    context.require(!lends(layers), "a class lends with three quarters in use")
    context.require(layers.slabs.isSparse(lender, but: blocks.count / 2), "blocks that wait in a stack are said to be in use")
    let more = blocks.indices.filter { (2..<6).contains($0 % 8) }.map { blocks[$0] }
    _ = layers.giveBack(lender, more)
    context.require(layers.slabs.isShort(borrower) && lends(layers), "a class lends nothing with a quarter in use")
    let page = layers.pool.take(order: 0)
    if let page { layers.pool.giveBack(page, order: 0) }
    context.require(page != nil && !layers.slabs.isShort(borrower) && !lends(layers), "a class borrows while a free page holds memory")
    guard let unit = layers.buddy.allocate(order: 0) else { return context.find("no unit") }
    layers.buddy.release(.init(order: 0, index: unit.index, isDirty: true))
    context.require(!layers.slabs.isShort(borrower) && !lends(layers), "a class borrows while a free unit holds memory")
    context.require(lends(layers), "a class lends nothing any more")
    let few = OwnLayers(mebibytes: 4)
    let slab = few.blocks(lender, 15 * lender.slabBlocks)
    _ = few.giveBack(lender, Array(slab.dropLast(8)))
    context.require(!lends(few), "a class lends that has not even a unit")
    context.count(6)
  }

  private static func resting(_ context: CheckContext) {
    for (delay, rests) in [(1_000_000, true), (250, false)] as [(UInt, Bool)] {
      let (layers, blocks) = filled(delay: delay, lender)
      _ = layers.giveBack(lender, blocks.indices.filter { $0 % 8 < 6 }.map { blocks[$0] })
      for time in 1...3 {
        let kept = layers.blocks(borrower, 12)
        _ = layers.giveBack(borrower, Array(kept.prefix(6)))
        context.require(layers.slabs.isShort(borrower), "time \(time): a class rests of whose loans half stay")
        _ = layers.giveBack(borrower, Array(kept.dropFirst(6)))
        context.require(layers.slabs.isShort(borrower) == (time < 3), "time \(time): a class \(time < 3 ? "rests at once" : "does not rest")")
      }
      context.require(!lends(layers), "a class that rests borrows")
      if !rests { usleep(500_000) }
      let again = lends(layers)
      context.require(again != rests, "a class rests \(rests ? "too short" : "for ever")")
      if again { context.require(!layers.slabs.isShort(borrower), "a class has forgotten that its loans come home young") }
      context.count(1)
    }
  }

  // While a class rests there may be no pages for it.
  private static func lastResort(_ context: CheckContext) {
    let (layers, blocks) = filled(delay: 1_000_000, lender)
    _ = layers.giveBack(lender, blocks.indices.filter { $0 % 8 < 6 }.map { blocks[$0] })
    for _ in 1...3 { _ = layers.giveBack(borrower, layers.blocks(borrower, 12)) }
    while layers.buddy.allocate(order: 0) != nil {}
    context.require(!layers.slabs.isShort(borrower), "a class does not rest whose loans come home at once")
    context.require(layers.blocks(borrower, 1).count == 1 && layers.slabs.hasLoans(borrower), "memory is out for a class that rests, although there are holes")
    context.count(1)
  }

  // Of blocks of 8 KiB four make one.
  private static func pausing(_ context: CheckContext) {
    let (lender, borrower) = (SizeClass(holding: 8 << 10), SizeClass(holding: 32 << 10))
    let (layers, blocks) = filled(delay: 0, lender)
    _ = layers.giveBack(lender, blocks.indices.filter { $0 % 4 != 0 }.map { blocks[$0] })
    var kept: [UInt] = []
    for look in 0..<2 {
      context.require(layers.slabs.isShort(borrower), "look \(look) is not made")
      kept += layers.blocks(borrower, borrower.slabBlocks)
    }
    context.require(!layers.slabs.hasLoans(borrower), "four neighbours are lent of which one is in use")
    _ = layers.giveBack(lender, blocks.indices.filter { $0 % 8 == 0 }.map { blocks[$0] })
    context.require(!layers.slabs.isShort(borrower), "a class looks again at once that found nothing twice")
    kept += layers.blocks(borrower, borrower.slabBlocks)
    context.require(!layers.slabs.hasLoans(borrower) && layers.slabs.isShort(borrower), "a class looks in its pause, or never again")
    kept += layers.blocks(borrower, borrower.slabBlocks)
    context.require(layers.slabs.hasLoans(borrower) && layers.slabs.isShort(borrower), "a class that finds enough pauses")
    context.require(layers.giveBack(borrower, kept) == nil && layers.slabs.checkInvariants(), "the slabs' records disagree")
    context.count(1)
  }

  // Frees a block on loan, and all that must not be freed in it and after it.
  private static func faults(_ block: UnsafeMutableRawPointer, _ size: Int, _ inner: Int, _ pool: PoolAllocator, _ context: CheckContext) {
    let inside = FaultRecorder.record {
      pool.deallocate(block + inner)
      pool.deallocate(block + 16)
    }
    context.require(
      inside.map(\.kind) == ["invalid pointer", "invalid pointer"] && inside.allSatisfy { $0.state == "inside a block" && $0.blockSize >= size },
      "\(size) B: inside a block on loan is reported as \(inside)")
    pool.deallocate(block)
    let twice = FaultRecorder.record { pool.deallocate(block) }
    context.require(twice.map(\.kind) == ["double free"] && twice.allSatisfy { $0.blockSize >= size }, "\(size) B: a block on loan freed twice is reported as \(twice)")
  }

  private static func isLent(_ block: UnsafeMutableRawPointer, _ heap: Heap<HardwareMemory>) -> Bool {
    let base = BlockBase(address: UInt(bitPattern: block))
    let slab = Slab<HardwareMemory>(region: heap.region, containing: heap.region.page(of: base.address))
    return slab.sizeClass != heap.region.tag(at: base.address).sizeClass
  }

  private static func mark(_ block: UnsafeMutableRawPointer, _ size: Int, _ value: UInt8) {
    block.initializeMemory(as: UInt8.self, repeating: value, count: size)
  }
  private static func isMarked(_ block: UnsafeMutableRawPointer, _ size: Int, _ value: UInt8) -> Bool {
    (0..<size).allSatisfy { block.load(fromByteOffset: $0, as: UInt8.self) == value }
  }
}
