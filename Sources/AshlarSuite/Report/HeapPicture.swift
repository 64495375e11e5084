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
    /// A guarded block begins here.
    case guarded
  }

  /// In the order of their addresses, as far as the region was ever used.
  public let pages: [Page]

  /// Nil when there is no heap. O(granules that were ever used).
  public static func ofProcessHeap() -> HeapPicture? {
    guard let heap = ProcessHeap.shared?.pointee else { return nil }
    let units = Int(bitPattern: HardwareMemory.load(heap.buddy.tables.frontier))
    return HeapPicture(heap.region, units: min(units, heap.region.unitCount))
  }

  init(_ region: Region<HardwareMemory>, units: Int) {
    var pages = [Page](repeating: .empty, count: units * RegionLayout.pagesPerUnit)
    var live = [Int](repeating: 0, count: pages.count)
    var page = 0
    while page < pages.count {
      if page % RegionLayout.pagesPerUnit == 0, let order = Self.mediumOrder(region, page) {
        let end = min(page + RegionLayout.pagesPerUnit << order, pages.count)
        for covered in page..<end { pages[covered] = .medium }
        page = end
      } else {
        Self.walk(page, region, &pages, &live)
        page += 1
      }
    }
    self.pages = pages
  }

  private static func mediumOrder(_ region: Region<HardwareMemory>, _ page: Int) -> Int? {
    let tag = region.tag(at: region.address(ofPage: page))
    return tag.isLive ? tag.order : nil
  }

  /// Counts the live blocks that begin in a page. One that goes on in the next pages counts there as well.
  private static func walk(_ page: Int, _ region: Region<HardwareMemory>, _ pages: inout [Page], _ live: inout [Int]) {
    let start = region.address(ofPage: page)
    var offset = 0
    while offset < RegionLayout.pageBytes {
      let tag = region.tag(at: start + UInt(offset))
      guard let sizeClass = tag.sizeClass else {
        if tag == .guarded.live { pages[page] = .guarded }
        offset += RegionLayout.granuleBytes
        continue
      }
      if tag.isLive { add(sizeClass.size, at: page * RegionLayout.pageBytes + offset, &pages, &live) }
      offset += sizeClass.size
    }
  }

  private static func add(_ size: Int, at start: Int, _ pages: inout [Page], _ live: inout [Int]) {
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
