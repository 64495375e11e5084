/// How a region is cut up.
package enum RegionLayout {
  package static let unitBytes = 1 << 20
  package static let pageBytes = 64 << 10
  package static let pagesPerUnit = unitBytes / pageBytes
  package static let granuleBytes = 16
  package static let granuleShift: UInt = 4
  /// A region may have so many pages: 1 TiB.
  package static let mostPages = 16 << 20
  /// From the first route of a page to the first tag: the same in every region, so that both are found from one address.
  package static let routesBytes = mostPages * MemoryLayout<UInt16>.stride
  /// A page has 2^12 granules.
  package static let pageGranulesShift: UInt = 12
  /// Bytes of the record of a page.
  package static let descriptorBytes = 64
  /// Bytes of a page's bitmap: a bit for each granule.
  package static let bitmapBytes = pageBytes / granuleBytes / 8
  /// It lies in parts: the first of all pages together, then the second of all, …
  package static let bitmapParts = 4
  /// Bytes of a part: a bit for each block of 64 B.
  package static let bitmapPartBytes = bitmapBytes / bitmapParts
}
