/// An alignment that can be had: a power of two from 1 B to 2^40 B.
@usableFromInline
package struct Alignment {
  @usableFromInline package let value: Int

  /// 2^40: no machine has the address space for more.
  @inlinable package static var largest: Int { 1 << 40 }

  /// Nil for zero, for what is no power of two, and above `largest`.
  @inlinable @inline(__always)
  package init?(_ value: UInt) {
    guard value != 0, value & (value &- 1) == 0, value <= UInt(Self.largest) else { return nil }
    self.value = Int(value)
  }
}
