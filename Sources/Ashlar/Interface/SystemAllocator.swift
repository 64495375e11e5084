import CAshlar

/// The C library's own allocator, behind the same protocol as the pool.
///
/// Alignment and zeroing are honoured; sized frees are taken on trust; faults are the C library's business.
public struct SystemAllocator: BlockAllocator {
  public init() {}

  public func allocate(
    size: Int, alignment: Int, zeroed: Bool, file: StaticString, line: UInt
  ) throws(AllocationError) -> UnsafeMutableRawPointer {
    guard size >= 0 else { throw .invalidSize }
    guard let valid = Alignment(UInt(bitPattern: alignment)) else { throw .invalidAlignment(alignment) }
    guard let block = ashlar_system_allocate(size, valid.value) else { throw .outOfMemory(size: size) }
    if zeroed { block.initializeMemory(as: UInt8.self, repeating: 0, count: size) }
    return block
  }

  public func reallocate(
    _ block: UnsafeMutableRawPointer, size: Int, alignment: Int, file: StaticString, line: UInt
  ) throws(AllocationError) -> UnsafeMutableRawPointer {
    if let valid = Alignment(UInt(bitPattern: alignment)), valid.value <= 16, size > 0 {
      guard let moved = ashlar_system_reallocate(block, size) else { throw .outOfMemory(size: size) }
      return moved
    }
    let moved = try allocate(size: size, alignment: alignment, zeroed: false, file: file, line: line)
    moved.copyMemory(from: block, byteCount: min(size, usableSize(of: block)))
    deallocate(block)
    return moved
  }

  public func deallocate(_ block: UnsafeMutableRawPointer?) { ashlar_system_free(block) }

  public func deallocate(_ block: UnsafeMutableRawPointer?, size: Int) { ashlar_system_free(block) }

  public func usableSize(of block: UnsafeMutableRawPointer?) -> Int { ashlar_system_usable_size(block) }
}
