/// An alignment that can be had: a power of two from 1 B to 2^40 B.
package struct Alignment {
  package let value: Int

  /// Nil for zero, for what is no power of two, and above `Heap.largestAlignment`.
  package init?(_ value: UInt) {
    guard value != 0, value & (value &- 1) == 0, value <= UInt(Heap.largestAlignment) else { return nil }
    self.value = Int(value)
  }
}
