/// Why memory could not be had.
public enum AllocationError: Error, Equatable, Sendable {
  /// The system has no memory, or no address space, for this many bytes.
  case outOfMemory(size: Int)
  /// Not a power of two from 1 B to 2^40 B.
  case invalidAlignment(Int)
  /// Negative, or a product that overflows.
  case invalidSize
  /// What was to be resized is no live block of this allocator. It was reported as a fault first.
  case invalidPointer
  /// All the objects that an object pool may hold are live.
  case capacityReached(Int)
}

/// Something that hands out blocks of memory: the pool, or the system's allocator.
///
/// Sizes and alignments are in bytes. A block of size 0 has an address of its own. Every requirement may be called by
/// any thread at any time; a block may be given back by another thread than the one that asked for it.
///
/// ```swift
/// let pool = PoolAllocator()
/// let block = try pool.allocate(size: 4096, alignment: 4096)
/// defer { pool.deallocate(block) }
/// ```
public protocol BlockAllocator: Sendable {
  /// A block of at least `size` bytes, its address a multiple of `alignment` and of 16.
  ///
  /// - Parameters:
  ///   - alignment: a power of two from 1 B to 2^40 B.
  ///   - zeroed: whether the `size` bytes read as zero; otherwise their contents are undefined.
  ///   - file, line: where the request is made, for the leak report.
  /// - Throws: `AllocationError`; nothing has changed then.
  func allocate(
    size: Int, alignment: Int, zeroed: Bool, file: StaticString, line: UInt
  ) throws(AllocationError) -> UnsafeMutableRawPointer

  /// Resizes a block to at least `size` bytes, moving it if need be. The contents up to the smaller size are kept.
  ///
  /// - Throws: `AllocationError`; the block is then what it was.
  func reallocate(
    _ block: UnsafeMutableRawPointer, size: Int, alignment: Int, file: StaticString, line: UInt
  ) throws(AllocationError) -> UnsafeMutableRawPointer

  /// Gives a block back. Null is nothing to do.
  func deallocate(_ block: UnsafeMutableRawPointer?)

  /// Gives back a block that was asked for with `size` bytes. The pool reports a block that is smaller.
  func deallocate(_ block: UnsafeMutableRawPointer?, size: Int)

  /// Bytes of a live block that may be used, at least what was asked for; 0 for null.
  func usableSize(of block: UnsafeMutableRawPointer?) -> Int
}

extension BlockAllocator {
  /// A block of at least `size` bytes aligned to 16 or more. See the requirement with all parameters.
  @inlinable
  public func allocate(
    size: Int, alignment: Int = 16, file: StaticString = #fileID, line: UInt = #line
  ) throws(AllocationError) -> UnsafeMutableRawPointer {
    try allocate(size: size, alignment: alignment, zeroed: false, file: file, line: line)
  }

  /// A block of zeros.
  @inlinable
  public func allocateZeroed(
    size: Int, alignment: Int = 16, file: StaticString = #fileID, line: UInt = #line
  ) throws(AllocationError) -> UnsafeMutableRawPointer {
    try allocate(size: size, alignment: alignment, zeroed: true, file: file, line: line)
  }

  /// As `allocate`, but nil for every error.
  @inlinable
  public func allocateIfPossible(
    size: Int, alignment: Int = 16, zeroed: Bool = false, file: StaticString = #fileID, line: UInt = #line
  ) -> UnsafeMutableRawPointer? {
    try? allocate(size: size, alignment: alignment, zeroed: zeroed, file: file, line: line)
  }

  /// Resizes a block. See the requirement with all parameters.
  @inlinable
  public func reallocate(
    _ block: UnsafeMutableRawPointer, size: Int, file: StaticString = #fileID, line: UInt = #line
  ) throws(AllocationError) -> UnsafeMutableRawPointer {
    try reallocate(block, size: size, alignment: 16, file: file, line: line)
  }
}
