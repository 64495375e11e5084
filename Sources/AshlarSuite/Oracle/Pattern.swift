/// Contents that follow from a seed, so that every byte of a block can be checked.
enum Pattern {
  @inline(__always)
  private static func word(_ seed: UInt64, _ index: Int) -> UInt64 {
    (seed &+ UInt64(truncatingIfNeeded: index)) &* 0x9E37_79B9_7F4A_7C15
  }

  /// Writes `range` of a block's bytes.
  static func fill(_ block: UnsafeMutableRawPointer, _ range: Range<Int>, seed: UInt64) {
    var offset = range.lowerBound
    while offset < range.upperBound {
      if offset % 8 == 0, offset + 8 <= range.upperBound {
        block.storeBytes(of: word(seed, offset / 8), toByteOffset: offset, as: UInt64.self)
        offset += 8
      } else {
        block.storeBytes(of: byte(seed, offset), toByteOffset: offset, as: UInt8.self)
        offset += 1
      }
    }
  }

  /// The first offset in `range` whose byte is not what `fill` wrote; nil when all are.
  static func firstDifference(_ block: UnsafeRawPointer, _ range: Range<Int>, seed: UInt64) -> Int? {
    var offset = range.lowerBound
    while offset < range.upperBound {
      if offset % 8 == 0, offset + 8 <= range.upperBound,
        block.load(fromByteOffset: offset, as: UInt64.self) == word(seed, offset / 8)
      {
        offset += 8
      } else if block.load(fromByteOffset: offset, as: UInt8.self) == byte(seed, offset) {
        offset += 1
      } else {
        return offset
      }
    }
    return nil
  }

  /// The first offset in `range` whose byte is not zero.
  static func firstNonZero(_ block: UnsafeRawPointer, _ range: Range<Int>) -> Int? {
    var offset = range.lowerBound
    while offset < range.upperBound {
      if offset % 8 == 0, offset + 8 <= range.upperBound, block.load(fromByteOffset: offset, as: UInt64.self) == 0 {
        offset += 8
      } else if block.load(fromByteOffset: offset, as: UInt8.self) == 0 {
        offset += 1
      } else {
        return offset
      }
    }
    return nil
  }

  private static func byte(_ seed: UInt64, _ offset: Int) -> UInt8 {
    UInt8(truncatingIfNeeded: word(seed, offset / 8) >> UInt64(offset % 8 * 8))
  }
}
