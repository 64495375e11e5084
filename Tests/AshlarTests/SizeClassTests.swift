import Testing

@testable import Ashlar

@Suite struct SizeClassTests {
  @Test func `every size to 1 MiB gets the smallest class that holds it`() {
    let sizes = (0..<SizeClass.count).map { SizeClass(index: $0).size }
    #expect(sizes == sizes.sorted() && Set(sizes).count == 72 && sizes.first == 16 && sizes.last == 1 << 20)
    var index = 0
    for size in 0...SizeClass.largest {
      if size > sizes[index] { index += 1 }
      guard SizeClass(holding: size).index == index else {
        Issue.record("size \(size) gets class \(SizeClass(holding: size).index), not \(index)")
        return
      }
    }
  }

  @Test func `steps are 16 B to 256 B, and at least four a doubling above`() {
    for index in 0..<SizeClass.count {
      let size = SizeClass(index: index).size
      let below = index == 0 ? 0 : SizeClass(index: index - 1).size
      #expect(size - below <= (size <= 256 ? 16 : below / 4 + 16))
    }
  }

  @Test(arguments: (0...16).map { 1 << $0 })
  func `what is rounded up to an alignment falls into a class of its multiples`(alignment: Int) {
    for size in stride(from: alignment, through: SizeClass.largest, by: alignment) {
      let held = SizeClass(holding: size).size
      guard held % alignment == 0 || alignment < 16 else {
        Issue.record("\(size) falls into \(held), no multiple of \(alignment)")
        return
      }
    }
  }

  @Test(arguments: 0..<SizeClass.count) func `batches and slabs fit`(index: Int) {
    let sizeClass = SizeClass(index: index)
    let slabBytes = RegionLayout.pageBytes << sizeClass.slabOrder
    #expect((1...SizeClass.largestBatch).contains(sizeClass.batch))
    #expect(slabBytes <= RegionLayout.unitBytes && slabBytes >= sizeClass.size)
    #expect(slabBytes / sizeClass.size >= 8 || slabBytes == RegionLayout.unitBytes)
    #expect(slabBytes / sizeClass.size <= RegionLayout.bitmapBytes * 8)
  }

  @Test func `every tag says what it was made from`() {
    #expect(Tag.none.sizeClass == nil && Tag.none.order == nil && !Tag.none.isLive)
    var seen: Set<UInt8> = [0]
    for index in 0..<SizeClass.count {
      let tag = Tag.free(SizeClass(index: index))
      #expect(tag.sizeClass?.index == index && tag.order == nil && !tag.isLive)
      #expect(tag.live.isLive && tag.live.sizeClass?.index == index && seen.insert(tag.value).inserted)
    }
    for order in 0..<BuddyTables.orders {
      let tag = Tag.free(order: order)
      #expect(tag.order == order && tag.sizeClass == nil && !tag.isLive && tag.live.order == order)
      #expect(seen.insert(tag.value).inserted && tag.value < Tag.liveBit)
    }
  }

  @Test func `the offset of every block of every class is divided exactly`() {
    for index in 0..<SizeClass.count {
      let sizeClass = SizeClass(index: index)
      let division = BlockDivision(sizeClass)
      for block in 0..<sizeClass.slabBlocks { #expect(division.index(block * sizeClass.granules) == block, "class \(index), block \(block)") }
    }
  }
}
