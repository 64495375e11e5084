import AshlarSuite
import Testing

@testable import Ashlar

@Suite struct SlabTests {
  @Test(arguments: 0..<SizeClass.count) func `a slab serves each of its blocks once, aligned and apart`(index: Int) throws {
    let fixture = OwnLayers(mebibytes: 16)
    let sizeClass = SizeClass(index: index)
    let division = BlockDivision(sizeClass)
    let slab = try #require(fixture.pool.take(order: sizeClass.slabOrder))
    slab.open(for: sizeClass)
    let count = slab.blockCount
    var blocks: [UInt] = []
    #expect(slab.take(count + 1, { blocks.append(fixture.region.block(taggedAt: $0).address) }) == count && blocks.count == count && slab.homeCount == 0)
    let start = fixture.region.address(ofPage: slab.page)
    for number in 0..<count {
      #expect(blocks[number] == start + UInt(number * sizeClass.size))
      #expect(fixture.region.tag(at: blocks[number]) == .free(sizeClass))
    }
    #expect(blocks[count - 1] + UInt(sizeClass.size) <= start + UInt(slab.pages.count * RegionLayout.pageBytes))
    for number in (0..<count).shuffled() {
      let block = fixture.tag(blocks[number])
      func comesHome() -> Bool { slab.giveBack(7..<8, division) { _ in block } == 8 }
      #expect(!slab.isHome(block) && comesHome() && slab.isHome(block) && !comesHome())
    }
    #expect(slab.isEmpty && slab.checkInvariants())
  }

  @Test func `blocks come home in stretches, up to the first that is no block of the slab or can't come home`() throws {
    let fixture = OwnLayers(mebibytes: 4)
    let sizeClass = SizeClass(holding: 100)
    let (division, all) = (BlockDivision(sizeClass), sizeClass.slabBlocks)
    let blocks = fixture.blocks(sizeClass, all + 8).map(fixture.tag)
    let slab = Slab<HardwareMemory>(region: fixture.region, containing: fixture.region.page(of: fixture.region.block(taggedAt: blocks[0]).address))
    func giveBack(_ order: [Int], from first: Int = 0) -> Int { slab.giveBack(first..<order.count, division) { blocks[order[$0]] } }
    // In any order, over words of the bitmap that lie apart; the fourth is of another slab.
    #expect(giveBack([300, 2, 130, all + 1, 3]) == 3 && slab.homeCount == 3)
    // One that is home already stops a stretch, wherever it stands, and so does one that is live.
    #expect(giveBack([2]) == 0 && giveBack([5, 6, 300, 7]) == 2 && giveBack([9, 5, 6], from: 1) == 1 && slab.homeCount == 5)
    HardwareMemory.store(Tag.free(sizeClass).live.value, to: blocks[20].byte)
    #expect(giveBack([19, 20, 21]) == 1 && slab.homeCount == 6)
    // What is taken next begins at the lowest.
    var taken: [TagAddress] = []
    #expect(slab.take(2) { taken.append($0) } == 2 && taken == [blocks[2], blocks[5]] && slab.checkInvariants())
  }

  @Test func `an empty slab of one class serves another`() {
    let fixture = OwnLayers(mebibytes: 4)
    var first: Set<UInt> = []
    // Each class in turn takes all memory there is: none can have kept any. (Of the smallest, one stands for all.)
    for index in 0..<SizeClass.count where index == 0 || index >= 15 {
      let sizeClass = SizeClass(index: index)
      let blocks = fixture.blocks(sizeClass, (4 << 20) / 16)
      let pages = Set(blocks.map { $0 / UInt(RegionLayout.pageBytes) })
      #expect(pages.count >= 4)
      if index == 0 { first = pages } else { #expect(pages.isSubset(of: first)) }
      #expect(fixture.giveBack(sizeClass, blocks.shuffled()) == nil)
      #expect(fixture.slabs.takenCount(sizeClass) == 0 && fixture.pool.heldBytes == 0)
    }
    #expect(fixture.slabs.checkInvariants() && fixture.pool.checkInvariants() && fixture.buddy.checkInvariants())
  }

  @Test(arguments: 0..<10) func `magazines and slabs agree with a counting model`(seed: Int) {
    let fixture = OwnLayers(mebibytes: 64, cap: 4 << 20, delay: 0)
    var generator = SeededGenerator(seed: UInt64(seed))
    var live: [Int: Set<UInt>] = [:]
    for _ in 0..<2000 {
      let index = Int.random(in: 0..<SizeClass.count, using: &generator)
      let sizeClass = SizeClass(index: index)
      if Bool.random(using: &generator) {
        let blocks = fixture.blocks(sizeClass, Int.random(in: 1...64, using: &generator))
        #expect(live[index, default: []].isDisjoint(with: blocks))
        live[index, default: []].formUnion(blocks)
      } else {
        let leaving = Array(live[index, default: []].prefix(Int.random(in: 0...64, using: &generator)))
        #expect(fixture.giveBack(sizeClass, leaving) == nil)
        live[index]?.subtract(leaving)
      }
      #expect(fixture.slabs.takenCount(sizeClass) == live[index, default: []].count)
    }
    #expect(fixture.slabs.checkInvariants() && fixture.pool.checkInvariants())
    for (index, blocks) in live { #expect(fixture.giveBack(SizeClass(index: index), Array(blocks)) == nil) }
    #expect(fixture.pool.heldBytes == 0)
    fixture.pool.purge(all: true)
    #expect(fixture.pool.checkInvariants())
  }

  @Test func `under strict overcommit every block is writable, and nothing else is charged`() {
    let fixture = OwnLayers(mebibytes: 64, strict: true)
    var live: [(SizeClass, UInt)] = []
    for index in 0..<SizeClass.count {
      for block in fixture.blocks(SizeClass(index: index), 3) {
        let memory = UnsafeMutableRawPointer(bitPattern: block)!
        memory.initializeMemory(as: UInt8.self, repeating: 1, count: SizeClass(index: index).size)
        live.append((SizeClass(index: index), block))
      }
    }
    #expect(live.count == 3 * SizeClass.count && fixture.slabs.checkInvariants())
    // A commit that the system refuses is a block that can't be had, and comes back when it can.
    let wanted = fixture.buddy.allocate(order: 3)!
    SystemFaults.fail(call: 1, onwards: true)
    #expect(!fixture.region.commit(units: wanted.units))
    SystemFaults.lift()
    #expect(fixture.region.commit(units: wanted.units))
    for (sizeClass, block) in live { #expect(fixture.giveBack(sizeClass, [block]) == nil) }
    #expect(fixture.pool.checkInvariants() && fixture.pool.heldBytes == 0)
  }

  @Test func `a block that comes home twice is found, and the rest come home`() {
    let fixture = OwnLayers(mebibytes: 8)
    let sizeClass = SizeClass(holding: 64)
    let blocks = fixture.blocks(sizeClass, 10)
    #expect(fixture.giveBack(sizeClass, [blocks[0], blocks[1], blocks[0], blocks[2]]) == BlockBase(address: blocks[0]))
    #expect(fixture.slabs.takenCount(sizeClass) == 7)
  }

  @Test func `a block that is live is not taken home`() {
    let fixture = OwnLayers(mebibytes: 8)
    let sizeClass = SizeClass(holding: 64)
    let blocks = fixture.blocks(sizeClass, 3)
    fixture.region.setTag(Tag.free(sizeClass).live, at: BlockBase(address: blocks[1]))
    #expect(fixture.giveBack(sizeClass, blocks) == BlockBase(address: blocks[1]))
    #expect(fixture.slabs.takenCount(sizeClass) == 1)
  }

  @Test func `pages that hold memory are preferred, and purged on demand`() throws {
    let fixture = OwnLayers(mebibytes: 8)
    let keeper = try #require(fixture.pool.take(order: 0))
    let slab = try #require(fixture.pool.take(order: 0))
    let memory = UnsafeMutableRawPointer(bitPattern: fixture.region.address(ofPage: slab.page))!
    memory.storeBytes(of: 7, as: UInt8.self)
    _ = fixture.pool.take(order: 0)
    fixture.pool.giveBack(slab, order: 0)
    #expect(fixture.pool.take(order: 0)?.page == slab.page)
    fixture.pool.giveBack(slab, order: 0)
    fixture.pool.purge(all: true)
    #expect(memory.load(as: UInt8.self) == 0 && keeper.page != slab.page)
  }
}
