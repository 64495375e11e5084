/// An arena that any thread may allocate from at any time, behind a lock.
///
/// All that is said of `Arena` holds; an allocation is two locked instructions more, and which thread gets which address depends on
/// who comes first. Threads that allocate all the time are better off with an arena each. A reset takes back what every thread has.
///
/// Its lock is none of the heap's: a child that is forked while another thread is in the arena must not use it.
public final class SharedArena: Sendable {
  // Of pointers to memory that the arena owns; what lies there is guarded by the lock, a word of it.
  private nonisolated(unsafe) let memory: ArenaMemory<HardwareMemory>
  private nonisolated(unsafe) let locked: LockedArena<HardwareMemory>

  /// See `Arena.init`.
  public init(
    chunkSize: Int = 16 << 10, allocator: any BlockAllocator = DefaultAllocator.current, file: StaticString = #fileID,
    line: UInt = #line
  ) throws(AllocationError) {
    memory = try ArenaMemory.make(chunkSize: chunkSize, allocator: allocator, file: file, line: line)
    locked = LockedArena(memory)
  }

  deinit { memory.release() }

  /// See `Arena.allocate(size:alignment:)`. Thread-safe.
  public func allocate(size: Int, alignment: Int = 16) throws(AllocationError) -> UnsafeMutableRawPointer {
    try locked.allocate(size, alignment) { $0.report() }
  }

  /// See `Arena.allocate(_:)`. Thread-safe.
  public func allocate<Element: ~Copyable>(_ type: Element.Type) throws(AllocationError) -> UnsafeMutablePointer<Element> {
    try allocate(size: MemoryLayout<Element>.size, alignment: MemoryLayout<Element>.alignment).assumingMemoryBound(to: type)
  }

  /// See `Arena.allocate(_:count:)`. Thread-safe.
  public func allocate<Element: ~Copyable>(
    _ type: Element.Type, count: Int
  ) throws(AllocationError) -> UnsafeMutableBufferPointer<Element> {
    let (bytes, overflow) = count.multipliedReportingOverflow(by: MemoryLayout<Element>.stride)
    guard !overflow else { throw .invalidSize }
    let block = try allocate(size: bytes, alignment: MemoryLayout<Element>.alignment)
    return UnsafeMutableBufferPointer(start: block.assumingMemoryBound(to: type), count: count)
  }

  /// Takes everything back, from every thread; nobody may use any of it any more. The memory is kept. Thread-safe. O(1);
  /// O(bytes) where a tool or the guards watch.
  public func reset() { locked.reset() }

  /// Takes everything back, as `reset` does, and gives the memory back to the allocator. Thread-safe. O(chunks).
  public func release() { locked.releaseChunks() }

  /// What the arena holds. Thread-safe. O(chunks).
  public var statistics: ArenaStatistics { ArenaStatistics(locked.counts) }

  package func checkInvariants() -> Bool { locked.checkInvariants() }
}
