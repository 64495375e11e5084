/// Memory that is handed out by moving a pointer, and taken back all at once: burn after reading.
///
/// An allocation is a handful of instructions; nothing is freed alone. `reset` takes everything back and keeps the memory, and the
/// same requests then get the same addresses. Memory comes in chunks, each as large as those before it together up to 1 MiB; a larger request gets
/// a chunk of its own. A use after a reset is reported by AddressSanitizer and memcheck; where all blocks of the heap are
/// guarded, a write after a reset is found when the bytes are handed out again.
///
/// One thread at a time may use an arena, as the compiler sees to: `SharedArena` is for several. Not copyable: there is one owner,
/// and the memory goes back when its life ends. What lies in an arena is never deinitialised: it is of trivial types, or its owner sees to it.
///
/// ```swift
/// let arena = try Arena()
/// for request in requests {
///   let fields = try arena.allocate(Field.self, count: request.fieldCount)
///   …
///   arena.reset()
/// }
/// ```
public struct Arena: ~Copyable {
  @usableFromInline let memory: ArenaMemory<HardwareMemory>

  /// - Parameters:
  ///   - chunkSize: bytes of the first chunk, up to 2^40; it is only taken with the first allocation.
  ///   - allocator: where chunks come from and go back to: a `NUMAAllocator` places them on chosen nodes.
  ///   - file, line: where the arena is made, for the leak report.
  /// - Throws: `AllocationError`, `invalidSize` for a chunk size that is negative or too large.
  public init(
    chunkSize: Int = 16 << 10, allocator: any BlockAllocator = DefaultAllocator.current, file: StaticString = #fileID,
    line: UInt = #line
  ) throws(AllocationError) {
    memory = try ArenaMemory.make(chunkSize: chunkSize, allocator: allocator, file: file, line: line)
  }

  deinit { memory.release() }

  /// `size` bytes, uninitialised, that are the caller's until the next reset. O(1), but for a new chunk.
  ///
  /// - Parameter alignment: a power of two from 1 B to 2^40 B.
  /// - Throws: `AllocationError`; nothing has changed then.
  @inlinable @inline(__always)
  public func allocate(size: Int, alignment: Int = 16) throws(AllocationError) -> UnsafeMutableRawPointer {
    if !memory.chunks.isWatched, size > 0, let valid = Alignment(UInt(bitPattern: alignment)),
      let block = memory.chunks.take(size, valid.value)
    {
      return block
    }
    return try memory.allocateSlowly(size, alignment)
  }

  /// Memory for one element, uninitialised. See `allocate(size:alignment:)`.
  @inlinable @inline(__always)
  public func allocate<Element: ~Copyable>(_ type: Element.Type) throws(AllocationError) -> UnsafeMutablePointer<Element> {
    try allocate(size: MemoryLayout<Element>.size, alignment: MemoryLayout<Element>.alignment).assumingMemoryBound(to: type)
  }

  /// Memory for `count` elements, uninitialised. See `allocate(size:alignment:)`.
  ///
  /// - Throws: `AllocationError`, `invalidSize` for a negative count or one whose bytes overflow.
  @inlinable
  public func allocate<Element: ~Copyable>(
    _ type: Element.Type, count: Int
  ) throws(AllocationError) -> UnsafeMutableBufferPointer<Element> {
    let (bytes, overflow) = count.multipliedReportingOverflow(by: MemoryLayout<Element>.stride)
    guard !overflow else { throw .invalidSize }
    let block = try allocate(size: bytes, alignment: MemoryLayout<Element>.alignment)
    return UnsafeMutableBufferPointer(start: block.assumingMemoryBound(to: type), count: count)
  }

  /// Takes everything back; nobody may use any of it any more. The memory is kept. O(1); O(bytes) where a tool or the
  /// guards watch.
  public func reset() { memory.chunks.reset() }

  /// Takes everything back, as `reset` does, and gives the memory back to the allocator. O(chunks).
  public func release() { memory.releaseChunks() }

  /// What the arena holds. O(chunks).
  public var statistics: ArenaStatistics { ArenaStatistics(memory.chunks.counts) }

  package func checkInvariants() -> Bool { memory.chunks.checkInvariants() }
}
