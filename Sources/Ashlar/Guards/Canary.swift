/// What is written where no program may write, to see afterwards whether one did.
///
/// Around a block: bytes that depend on their address and on a secret of the process, so that neither zeros nor a copy
/// of the neighbour pass for them. Into a freed block: one byte value, easy to tell in a debugger.
///
/// The memory is the caller's alone while any of these runs. O(bytes).
package struct Canary {
  private let secret: UInt

  /// Bytes on each side of a block that are written and checked, at most.
  package static var zoneBytes: UInt { 128 }
  private static var freedByte: UInt8 { 0xDB }

  package init(secret: UInt) { self.secret = secret }

  private func byte(_ address: UInt) -> UInt8 {
    UInt8(truncatingIfNeeded: ((address ^ secret) &* 0x9E37_79B9_7F4A_7C15) &>> 56)
  }

  package func seal(_ bytes: Range<UInt>) {
    for address in bytes { Self.pointer(address).pointee = byte(address) }
  }

  /// The first byte that was changed since they were sealed.
  package func firstChange(in bytes: Range<UInt>) -> UInt? {
    for address in bytes where Self.pointer(address).pointee != byte(address) { return address }
    return nil
  }

  /// Fills the bytes of a freed block.
  package static func fillFreed(_ bytes: Range<UInt>) {
    UnsafeMutableRawPointer(pointer(bytes.lowerBound)).initializeMemory(as: UInt8.self, repeating: freedByte, count: bytes.count)
  }

  /// The first byte that was changed since the block was freed.
  package static func firstChange(inFreed bytes: Range<UInt>) -> UInt? {
    // All of them first, which the compiler makes a loop over many at once of.
    let changes = UnsafeBufferPointer(start: pointer(bytes.lowerBound), count: bytes.count).reduce(0) { $0 | ($1 ^ freedByte) }
    return changes == 0 ? nil : bytes.first { pointer($0).pointee != freedByte }
  }

  private static func pointer(_ address: UInt) -> UnsafeMutablePointer<UInt8> {
    UnsafeMutablePointer(bitPattern: address).unsafelyUnwrapped
  }
}
