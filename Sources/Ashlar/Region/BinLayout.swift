/// Where the bin of each size class lies in a thread's cache, the same in all of them.
///
/// Known down here because each page of a slab says it (`Region.route`): the hot path goes from a page to the bin of its
/// blocks in one step.
package enum BinLayout {
  /// Of the first bin. Before it lies what a cache has of its own, and at its very beginning the *null bin*, which is
  /// empty and full at once: pages of no slab lead there.
  package static var firstOffset: Int { 640 }
  /// Of the slots, which a header stands before.
  package static var slotsOffset: Int { 48 }
  /// From one bin to the next: room for two magazines.
  package static var stride: Int { slotsOffset + 2 * SizeClass.largestBatch * 8 }

  @inline(__always)
  package static func offset(of sizeClass: SizeClass) -> Int { firstOffset &+ sizeClass.index &* stride }
}

extension SizeClass {
  /// Slots of a magazine.
  package static var largestBatch: Int { 64 }

  /// Blocks that travel between a thread's cache and a global stack at once: one magazine.
  ///
  /// About 256 KiB worth to 64 KiB, where blocks come and go by the thousand, and at most 64; one above.
  package var batch: Int { size <= 64 << 10 ? min((256 << 10) / size, Self.largestBatch) : 1 }
}
