/// How a region is cut up.
package enum RegionLayout {
  package static let unitBytes = 1 << 20
  package static let pageBytes = 64 << 10
  package static let pagesPerUnit = unitBytes / pageBytes
  package static let granuleBytes = 16
  package static let granuleShift: UInt = 4
  /// A page has 2^12 granules.
  package static let pageGranulesShift: UInt = 12
  /// Bytes of the record of a page.
  package static let descriptorBytes = 64
  /// Bytes of a page's bitmap: a bit for each granule.
  package static let bitmapBytes = pageBytes / granuleBytes / 8
}
