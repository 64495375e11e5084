/// An object pool that any thread may use at any time, behind a lock.
///
/// All that is said of `ObjectPool` holds; an object may be freed by another thread than the one that allocated it, and of any number of
/// threads that free one object at the same instant one succeeds and the others are reported. An allocation or free is two locked
/// instructions more. Threads that allocate all the time are better off with a pool each.
///
/// Its lock is none of the heap's: a child that is forked while another thread is in the pool must not use it.
public final class SharedObjectPool<Element: ~Copyable>: Sendable {
  // Of pointers to memory that the pool owns; what lies there is guarded by the lock.
  private nonisolated(unsafe) let memory: PoolMemory
  private nonisolated(unsafe) let slots: LockedSlots<HardwareMemory>

  /// See `ObjectPool.init`.
  public init(
    capacity: Int, allocator: any BlockAllocator = DefaultAllocator.current, file: StaticString = #fileID, line: UInt = #line
  ) throws(AllocationError) {
    memory = try PoolMemory(
      capacity: capacity, size: MemoryLayout<Element>.stride, alignment: MemoryLayout<Element>.alignment, allocator: allocator,
      file: file, line: line)
    slots = LockedSlots(memory.slots)
  }

  deinit { memory.release() }

  // Of no type, so that they are compiled here once.

  @usableFromInline
  func takeSlot() -> UnsafeMutableRawPointer? { slots.take { $0.report() } }

  @usableFromInline
  func putSlot(_ slot: UnsafeRawPointer) { slots.put(slot) { $0.report() } }

  /// Memory for one object, uninitialised; nil when `capacity` objects are live. O(1). Thread-safe.
  @inlinable
  public func allocateIfPossible() -> UnsafeMutablePointer<Element>? {
    takeSlot()?.assumingMemoryBound(to: Element.self)
  }

  /// Memory for one object, uninitialised. O(1). Thread-safe.
  ///
  /// - Throws: `AllocationError.capacityReached` when `capacity` objects are live.
  public func allocate() throws(AllocationError) -> UnsafeMutablePointer<Element> {
    guard let object = allocateIfPossible() else { throw .capacityReached(capacity) }
    return object
  }

  /// Takes an object's memory back. The object is uninitialised by then. O(1). Thread-safe.
  @inlinable
  public func deallocate(_ object: UnsafeMutablePointer<Element>) { putSlot(object) }

  /// An object that holds a value. O(1). Thread-safe.
  ///
  /// - Throws: `AllocationError.capacityReached` when `capacity` objects are live.
  public func make(_ value: consuming Element) throws(AllocationError) -> UnsafeMutablePointer<Element> {
    let object = try allocate()
    object.initialize(to: value)
    return object
  }

  /// Ends an object's life and takes its memory back. Thread-safe; of two threads that destroy one object at the same instant both
  /// may deinitialise it.
  public func destroy(_ object: UnsafeMutablePointer<Element>) {
    if let fault = slots.fault(of: object) { return fault.report() }
    object.deinitialize(count: 1)
    deallocate(object)
  }

  /// See `ObjectPool.preallocate`. Thread-safe; the lock is held meanwhile.
  public func preallocate(_ count: Int) throws(AllocationError) {
    guard slots.touch(count) else { throw .capacityReached(capacity) }
  }

  /// Objects that may be live at once.
  public var capacity: Int { memory.capacity }

  /// What the pool holds and has done, all of one moment. O(1). Thread-safe.
  public var statistics: ObjectPoolStatistics { ObjectPoolStatistics(slots.counts) }

  package func checkInvariants() -> Bool { slots.checkInvariants() }
}
