/// The size classes of the small level.
///
/// 72 classes: 16 to 256 B in steps of 16, to 1 KiB in eight steps a doubling, to 1 MiB in four. Rounding a size up
/// to its class wastes at most 15 bytes up to 256 B, an eighth up to 1 KiB, a fifth above (a quarter of the size
/// asked). Whatever multiple of a power of two a size is rounded up to, its class is a multiple of it too, which is
/// why an aligned request needs no classes of its own.
package struct SizeClass: Equatable {
  /// 0 for 16 B … 71 for 1 MiB.
  package let index: Int

  @inline(__always)
  package init(index: Int) { self.index = index }

  package static let count = 72
  /// Every class, smallest first.
  package static var all: SizeClasses { SizeClasses(0..<count) }
  /// The largest size that the small level serves, 1 MiB.
  package static let largest = 1 << 20

  private static let fineCount = 16
  private static let mediumCount = 16
  private static let fineLimit = fineCount &<< 4
  private static let mediumLimit = fineLimit &<< (mediumCount / 8)

  /// The smallest class that holds `size` bytes. `size` is at most `largest`. O(1).
  @inline(__always)
  package init(holding size: Int) {
    if size <= Self.fineLimit {
      self.init(index: size == 0 ? 0 : (size &- 1) &>> 4)
    } else if size <= Self.mediumLimit {
      self.init(index: Self.steps(size, perDoubling: 3, from: 8) &+ Self.fineCount)
    } else {
      self.init(holdingLarger: size)
    }
  }

  /// The same for a `size` above 1 KiB.
  @inline(__always)
  package init(holdingLarger size: Int) {
    index = Self.steps(size, perDoubling: 2, from: 10) &+ Self.fineCount &+ Self.mediumCount
  }

  /// Which step of `2^perDoubling` a doubling, counted from `2^from`, is the first to hold `size`.
  @inline(__always)
  private static func steps(_ size: Int, perDoubling: Int, from: Int) -> Int {
    let last = size &- 1
    let doubling = (Int.bitWidth &- 1 &- last.leadingZeroBitCount)
    let step = last &>> (doubling &- perDoubling)
    return ((doubling &- from) &<< perDoubling) &+ step &- (1 &<< perDoubling)
  }

  /// Bytes of a block. O(1).
  package var size: Int {
    if index < Self.fineCount { return (index &+ 1) &<< 4 }
    if index < Self.fineCount &+ Self.mediumCount {
      return Self.size(ofStep: index &- Self.fineCount, perDoubling: 3, from: 8)
    }
    return Self.size(ofStep: index &- Self.fineCount &- Self.mediumCount, perDoubling: 2, from: 10)
  }

  private static func size(ofStep step: Int, perDoubling: Int, from: Int) -> Int {
    let doubling = (step &>> perDoubling) &+ from
    let within = (step & ((1 &<< perDoubling) &- 1)) &+ 1
    return (1 &<< doubling) &+ (within &<< (doubling &- perDoubling))
  }
}

/// Neighbouring size classes, smallest first.
// Not a lazy map of the numbers: an allocator may call nothing that asks for a type's metadata, which is allocated.
package struct SizeClasses: Sequence, IteratorProtocol {
  private var numbers: Range<Int>

  /// The classes of these numbers.
  package init(_ numbers: Range<Int>) { self.numbers = numbers }

  @inline(__always)
  package mutating func next() -> SizeClass? {
    guard let index = numbers.first else { return nil }
    numbers = index &+ 1..<numbers.upperBound
    return SizeClass(index: index)
  }
}
