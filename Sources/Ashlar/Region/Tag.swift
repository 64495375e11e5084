/// The byte that says what begins at a 16-byte granule of the region.
///
/// | value      | meaning                                            |
/// |------------|----------------------------------------------------|
/// | 0          | no block begins here                               |
/// | 1 … 72     | a free small block of class value - 1              |
/// | 73 … 82    | a free medium block of buddy order value - 73      |
/// | 127        | a guarded block, live or freed: its record says more |
/// | 128 + free | the same block, live                               |
///
/// Adding 128 turns free into live and live into free, with a carry exactly when the block was live: on the hot
/// path that one instruction is both the change of state and its check.
package struct Tag: Equatable {
  package let value: UInt8

  @inline(__always)
  package init(_ value: UInt8) { self.value = value }

  package static let none = Tag(0)
  package static let guarded = Tag(127)
  package static let liveBit: UInt8 = 0x80

  @inline(__always)
  package static func free(_ sizeClass: SizeClass) -> Tag { Tag(UInt8(truncatingIfNeeded: sizeClass.index &+ 1)) }

  @inline(__always)
  package static func free(order: Int) -> Tag { Tag(UInt8(truncatingIfNeeded: SizeClass.count &+ 1 &+ order)) }

  @inline(__always)
  package var live: Tag { Tag(value | Self.liveBit) }

  @inline(__always)
  package var isLive: Bool { value & Self.liveBit != 0 }

  private var code: Int { Int(value & ~Self.liveBit) }

  /// The size class, if a small block begins here.
  @inline(__always)
  package var sizeClass: SizeClass? {
    code >= 1 && code <= SizeClass.count ? SizeClass(index: code &- 1) : nil
  }

  /// The buddy order, if a medium block begins here.
  @inline(__always)
  package var order: Int? {
    code > SizeClass.count && self != .guarded ? code &- SizeClass.count &- 1 : nil
  }
}
