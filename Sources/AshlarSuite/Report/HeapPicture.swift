import Ashlar

/// What each page of 64 KiB of the region holds.
///
/// Taken while threads are at work, it is of no one moment: each page is as it was when its turn came.
public struct HeapPicture: Sendable {
  public enum Page: Equatable, Sendable {
    /// Nothing is live here.
    case empty
    /// Small blocks: the size of one of them, and how much of the page is live, in percent.
    case small(size: Int, percent: Int)
    case medium
    /// A guarded block begins here, live or in quarantine.
    case guarded
  }

  /// In the order of their addresses, as far as the region was ever used.
  public let pages: [Page]

  /// Nil when there is no heap. O(pages that were ever used, blocks).
  public static func ofProcessHeap() -> HeapPicture? {
    guard let heap = ProcessHeap.shared else { return nil }
    let units = Int(bitPattern: HardwareMemory.load(heap.buddy.tables.frontier))
    return HeapPicture(heap.region, units: min(units, heap.region.unitCount))
  }

  private init(_ region: Region<HardwareMemory>, units: Int) {
    var drawing = Drawing(region: region, units: units)
    var page = 0
    while page < drawing.pages.count { page += drawing.draw(page) }
    pages = drawing.pages
  }
}

/// A picture in the making. It reads what may be read without a lock: tags, and what slab a page is part of.
private struct Drawing {
  private let region: Region<HardwareMemory>
  private(set) var pages: [HeapPicture.Page]
  private var live: [Int]

  init(region: Region<HardwareMemory>, units: Int) {
    self.region = region
    pages = Array(repeating: .empty, count: units * RegionLayout.pagesPerUnit)
    live = Array(repeating: 0, count: pages.count)
  }

  /// Draws the block or slab that begins at a page, and answers how many pages to go on by.
  mutating func draw(_ page: Int) -> Int {
    if let sizeClass = Slab(region: region, page: page).sizeClass {
      drawSlab(page, sizeClass)
      return 1 << sizeClass.slabOrder
    }
    guard page % RegionLayout.pagesPerUnit == 0 else { return 1 }
    let tag = region.tag(at: region.address(ofPage: page))
    if tag == .guarded { pages[page] = .guarded }
    guard tag.isLive, let order = tag.order else { return 1 }
    let end = min(page + RegionLayout.pagesPerUnit << order, pages.count)
    for covered in page..<end { pages[covered] = .medium }
    return end - page
  }

  private mutating func drawSlab(_ page: Int, _ sizeClass: SizeClass) {
    let start = region.address(ofPage: page)
    for block in 0..<sizeClass.slabBlocks {
      let offset = block * sizeClass.size
      let tag = region.tag(at: start + UInt(offset))
      if tag == .guarded { pages[page + offset / RegionLayout.pageBytes] = .guarded }
      // Its own, or one on loan.
      if tag.isLive, let held = tag.sizeClass { add(held.size, at: page * RegionLayout.pageBytes + offset) }
    }
  }

  /// Adds a live block to every page that it lies in.
  private mutating func add(_ size: Int, at start: Int) {
    var from = start
    while from < start + size, from / RegionLayout.pageBytes < pages.count {
      let page = from / RegionLayout.pageBytes
      let end = min(start + size, (page + 1) * RegionLayout.pageBytes)
      live[page] += end - from
      pages[page] = .small(size: size, percent: min(100, live[page] * 100 / RegionLayout.pageBytes))
      from = end
    }
  }
}
