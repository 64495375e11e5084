/// A small generator whose whole sequence follows from its seed (SplitMix64, Steele, Lea and Flood 2014).
public struct SeededGenerator: RandomNumberGenerator, Sendable {
  private var state: UInt64

  public init(seed: UInt64) { state = seed }

  /// One for a part of the work: the same seed and part give the same sequence, whatever other parts did.
  public init(seed: UInt64, part: String, index: Int = 0) {
    var mixed = seed
    for byte in part.utf8 { mixed = (mixed ^ UInt64(byte)) &* 0x100_0000_01B3 }
    self.init(seed: mixed &+ UInt64(index) &* 0xD129_0E2B_1C6A_5F21)
  }

  public mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  /// A number in `range`, small ones as likely as large ones: uniform in the logarithm.
  public mutating func logarithmic(in range: ClosedRange<Int>) -> Int {
    let least = Int.bitWidth - range.lowerBound.leadingZeroBitCount
    let most = Int.bitWidth - range.upperBound.leadingZeroBitCount
    let bits = Int.random(in: least...most, using: &self)
    let low = bits == 0 ? 0 : 1 << (bits - 1)
    let high = bits == 0 ? 0 : low - 1 + low
    return min(max(Int.random(in: low...high, using: &self), range.lowerBound), range.upperBound)
  }
}
