/// The bitmap of a slab: words of 64 bits, a bit for each block, set while it is home.
///
/// Of its parts only slabs of blocks below 64 B use more than the first, and what nobody uses takes no memory: the first parts
/// of 32 pages of 64 KiB lie in one of 4 KiB. Read and written under the lock of the slab's class.
struct SlabBitmap<Memory: SharedMemory> {
  let region: Region<Memory>
  /// Number of the slab's first page.
  let page: Int

  // Words of a part, as a power of two.
  private static var partShift: Int { (RegionLayout.bitmapPartBytes / MemoryLayout<UInt64>.size).trailingZeroBitCount }

  @inline(__always)
  subscript(word: Int) -> UInt64 {
    get { part(of: word)[word & (1 &<< Self.partShift &- 1)] }
    nonmutating set { part(of: word)[word & (1 &<< Self.partShift &- 1)] = newValue }
  }

  @inline(__always)
  private func part(of word: Int) -> PlainPointer<Memory, UInt64> {
    PlainPointer(region.bitmap(ofPage: page, part: word &>> Self.partShift))
  }
}
