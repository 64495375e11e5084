/// Where the tag of a small block lies: how bins, magazines and slabs name the blocks that they hold. Whoever takes one
/// reads and changes its tag at once, and may not need the block itself; `Region` leads from one to the other.
package struct TagAddress: Equatable {
  package let value: UInt

  @inline(__always)
  package init(_ value: UInt) { self.value = value }

  @inline(__always)
  package var byte: SharedByte {
    SharedByte(UnsafeMutablePointer(bitPattern: value).unsafelyUnwrapped)
  }
}
