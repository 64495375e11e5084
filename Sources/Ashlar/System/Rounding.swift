/// Multiples of a power of two.
extension FixedWidthInteger {
  func isRounded(to multiple: Self) -> Bool { self & (multiple - 1) == 0 }

  /// The largest that is not above it.
  func roundedDown(to multiple: Self) -> Self { self & ~(multiple - 1) }

  /// The smallest that is not below it.
  func roundedUp(to multiple: Self) -> Self { (self + (multiple - 1)).roundedDown(to: multiple) }
}
