/// A pointer that a user holds: what `allocate` answered and `free` gets back.
///
/// It and `BlockBase` are two types, and this file is the one place where one becomes the other. There is no way
/// from a `BlockBase` to itself through a second conversion: that does not compile.
package struct UserPointer: Equatable {
  package let address: UInt

  @inline(__always)
  package init(_ pointer: UnsafeMutableRawPointer?) { address = UInt(bitPattern: pointer) }

  /// - Parameter offset: bytes from the block's base to what its user sees. Only a guarded block has any: its header.
  @inline(__always)
  package init(_ base: BlockBase, offset: UInt = 0) { address = base.address &+ offset }

  /// Nil for address zero.
  @inline(__always)
  package var raw: UnsafeMutableRawPointer? { UnsafeMutableRawPointer(bitPattern: address) }
}

/// Where a block begins: what size class, slab index and tag are computed from.
package struct BlockBase: Equatable {
  package let address: UInt

  /// `address` is the first byte of a block.
  @inline(__always)
  package init(address: UInt) { self.address = address }

  /// - Parameter offset: bytes from the block's base to what its user sees.
  @inline(__always)
  package init(_ user: UserPointer, offset: UInt = 0) { address = user.address &- offset }

  @inline(__always)
  package var raw: UnsafeMutableRawPointer { UnsafeMutableRawPointer(bitPattern: address).unsafelyUnwrapped }
}
