/// Memory for objects of one type, kept for reuse: what is freed last is allocated next.
///
/// A pool has room for `capacity` objects from the start, as address space: memory is only taken as objects are first used, and
/// given back when the pool's life ends. Allocating and freeing are a dozen instructions each, whatever the capacity. A double free, a
/// pointer that is not from this pool, and one into the middle of an object are reported as the heap's faults are, fatally
/// unless a fault handler is set, and have no effect. Where all blocks of the heap are guarded, a write to a freed object is reported when it
/// is allocated again; AddressSanitizer and memcheck know which objects are live.
///
/// One thread at a time may use a pool, as the compiler sees to: `SharedObjectPool` is for several. Not copyable: there is one owner.
/// Objects are not initialised and not deinitialised by `allocate` and `deallocate`; `make` and `destroy` do both.
///
/// ```swift
/// let nodes = try ObjectPool<Node>(capacity: 100_000)
/// let node = try nodes.make(Node(key: 1))
/// nodes.destroy(node)
/// ```
public struct ObjectPool<Element: ~Copyable>: ~Copyable {
  @usableFromInline let memory: PoolMemory

  /// - Parameters:
  ///   - capacity: objects that may be live at once; 64 GiB of them at most.
  ///   - allocator: where the memory comes from and goes back to: a `NUMAAllocator` places it on chosen nodes.
  ///   - file, line: where the pool is made, for the leak report.
  /// - Throws: `AllocationError`, `invalidSize` for a capacity that is negative or too large.
  /// - Complexity: that of the allocator.
  public init(
    capacity: Int, allocator: any BlockAllocator = DefaultAllocator.current, file: StaticString = #fileID, line: UInt = #line
  ) throws(AllocationError) {
    memory = try PoolMemory(
      capacity: capacity, size: MemoryLayout<Element>.stride, alignment: MemoryLayout<Element>.alignment, allocator: allocator,
      file: file, line: line)
  }

  deinit { memory.release() }

  /// Memory for one object, uninitialised; nil when `capacity` objects are live. O(1).
  @inlinable @inline(__always)
  public func allocateIfPossible() -> UnsafeMutablePointer<Element>? {
    memory.take()?.assumingMemoryBound(to: Element.self)
  }

  /// Memory for one object, uninitialised. O(1).
  ///
  /// - Throws: `AllocationError.capacityReached` when `capacity` objects are live.
  @inlinable @inline(__always)
  public func allocate() throws(AllocationError) -> UnsafeMutablePointer<Element> {
    guard let object = allocateIfPossible() else { throw .capacityReached(memory.capacity) }
    return object
  }

  /// Takes an object's memory back. The object is uninitialised by then. O(1).
  @inlinable @inline(__always)
  public func deallocate(_ object: UnsafeMutablePointer<Element>) { memory.put(object) }

  /// An object that holds a value. O(1).
  ///
  /// - Throws: `AllocationError.capacityReached` when `capacity` objects are live.
  @inlinable
  public func make(_ value: consuming Element) throws(AllocationError) -> UnsafeMutablePointer<Element> {
    let object = try allocate()
    object.initialize(to: value)
    return object
  }

  /// Ends an object's life and takes its memory back. O(1), plus what the object does when its life ends.
  @inlinable
  public func destroy(_ object: UnsafeMutablePointer<Element>) {
    guard memory.isLive(object) else { return memory.reportRefused(object) }
    object.deinitialize(count: 1)
    deallocate(object)
  }

  /// Takes memory for the next `count` objects from the system now, so that allocating them makes no page fault. It lies where the
  /// allocator's placement says, or, without one, near the calling thread. O(bytes of the objects).
  ///
  /// - Throws: `AllocationError.capacityReached` when fewer than `count` objects can still be allocated.
  public func preallocate(_ count: Int) throws(AllocationError) {
    guard memory.preallocate(count) else { throw .capacityReached(memory.capacity) }
  }

  /// Objects that may be live at once.
  public var capacity: Int { memory.capacity }

  /// What the pool holds and has done. O(1), and free of cost to the other functions.
  public var statistics: ObjectPoolStatistics { memory.statistics }

  package func checkInvariants() -> Bool { memory.slots.checkInvariants() }
}
