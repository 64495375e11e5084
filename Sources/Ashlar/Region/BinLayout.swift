/// Where the bin of each size class lies in a thread's cache, the same in all of them.
///
/// Known down here because each page of a slab says it (`Region.route`): the hot path goes from a page to the bin of its
/// blocks in one step.
package enum BinLayout {
  /// Of the first bin. Before it lies what a cache has of its own, and at its very beginning the *null bin*, which is
  /// empty and full at once: pages of no slab lead there, and pages with blocks of several classes.
  package static var firstOffset: Int { 640 }
  /// From one bin to the next: a line.
  package static var stride: Int { 64 }
  /// Of the slots, which come after all bins: those of each class in turn, and behind them all a word for each class.
  package static var slotsOffset: Int { firstOffset + SizeClass.count * stride }
  /// Of a class's bin: one for the bottom, and two magazines.
  package static func slots(of sizeClass: SizeClass) -> Int { 1 + 2 * sizeClass.batch }

  /// Fits in 16 bits.
  @inline(__always)
  package static func offset(of sizeClass: SizeClass) -> Int { firstOffset &+ sizeClass.index &* stride }
}

extension SizeClass {
  /// Slots of a magazine.
  package static var largestBatch: Int { 128 }

  /// Blocks that travel between a thread's cache and a global stack at once: one magazine.
  ///
  /// About 1 MiB worth to 64 KiB, where blocks come and go by the thousand, and at most 128; one above.
  package var batch: Int { size <= 64 << 10 ? min((1 << 20) / size, Self.largestBatch) : 1 }

  /// Blocks that a bin may hold before it is known how many its thread needs: 64 KiB worth of them, or one, and two magazines at most.
  package var firstAllowance: Int { max(min((64 << 10) / size, 2 * batch), 1) }

  /// Blocks that an empty bin takes from the slabs at once: a word of the bitmap, and fewer of the larger ones, whose tags lie in a
  /// page each.
  package var stretch: Int { max(min((256 << 10) / size, 64, batch), 1) }
}
