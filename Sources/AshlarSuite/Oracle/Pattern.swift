import Glibc

/// Contents that follow from a seed, so that every byte of a block can be checked.
///
/// They repeat after a prime number of bytes: only a period is made byte by byte, and the rest is copied and compared by
/// the C library, which costs least where every access is checked by a sanitizer.
enum Pattern {
  private static let period = 1021

  @inline(__always)
  private static func word(_ seed: UInt64, _ offset: Int) -> UInt64 {
    (seed &+ UInt64(truncatingIfNeeded: offset)) &* 0x9E37_79B9_7F4A_7C15
  }

  /// Calls `body` with each word of the first period, and how many of its bytes count.
  @inline(__always)
  private static func forEachWord(_ count: Int, _ seed: UInt64, _ body: (Int, UInt64, Int) -> Bool) {
    var offset = 0
    while offset < min(count, period) {
      let bytes = min(8, min(count, period) - offset)
      guard body(offset, word(seed, offset), bytes) else { return }
      offset += 8
    }
  }

  /// Writes `range` of a block's bytes.
  static func fill(_ block: UnsafeMutableRawPointer, _ range: Range<Int>, seed: UInt64) {
    let start = block + range.lowerBound
    forEachWord(range.count, seed &+ UInt64(range.lowerBound)) { offset, word, bytes in
      if bytes == 8 { start.storeBytes(of: word, toByteOffset: offset, as: UInt64.self) } else {
        for byte in 0..<bytes { start.storeBytes(of: UInt8(truncatingIfNeeded: word >> (8 * byte)), toByteOffset: offset + byte, as: UInt8.self) }
      }
      return true
    }
    var done = period
    while done < range.count {
      let next = min(done, range.count - done)
      memcpy(start + done, start, next)
      done += next
    }
  }

  /// The first offset in `range`, or a part of it that begins where it does, whose byte is not what `fill` wrote; nil when
  /// all are.
  static func firstDifference(_ block: UnsafeRawPointer, _ range: Range<Int>, seed: UInt64) -> Int? {
    let start = block + range.lowerBound
    var found: Int?
    forEachWord(range.count, seed &+ UInt64(range.lowerBound)) { offset, word, bytes in
      if bytes == 8, start.loadUnaligned(fromByteOffset: offset, as: UInt64.self) == word { return true }
      let byte = (0..<bytes).first { start.load(fromByteOffset: offset + $0, as: UInt8.self) != UInt8(truncatingIfNeeded: word >> (8 * $0)) }
      found = byte.map { range.lowerBound + offset + $0 }
      return found == nil
    }
    if found != nil || range.count <= period || memcmp(start, start + period, range.count - period) == 0 { return found }
    return (period..<range.count).first {
      start.load(fromByteOffset: $0, as: UInt8.self) != start.load(fromByteOffset: $0 - period, as: UInt8.self)
    }.map { range.lowerBound + $0 }
  }

  /// The first offset in `range` whose byte is not zero.
  static func firstNonZero(_ block: UnsafeRawPointer, _ range: Range<Int>) -> Int? {
    let start = block + range.lowerBound
    guard !range.isEmpty else { return nil }
    if start.load(as: UInt8.self) == 0, memcmp(start, start + 1, range.count - 1) == 0 { return nil }
    return range.first { block.load(fromByteOffset: $0, as: UInt8.self) != 0 }
  }
}
