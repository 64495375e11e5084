/// The two blocks that an object pool lies in, and its slots.
@usableFromInline
package struct PoolMemory {
  @usableFromInline package let slots: SlotPool<HardwareMemory>
  private let records: UnsafeMutableRawPointer
  private let objects: UnsafeMutableRawPointer
  private let allocator: any BlockAllocator

  /// - Throws: `AllocationError`, `invalidSize` for a negative capacity and for more than 64 GiB of objects.
  package init(
    capacity: Int, size: Int, alignment: Int, allocator: any BlockAllocator, file: StaticString, line: UInt
  ) throws(AllocationError) {
    guard let layout = SlotPool<HardwareMemory>.Layout(slots: capacity, size: size, alignment: alignment) else { throw .invalidSize }
    let multiple = max(alignment, RegionLayout.granuleBytes)
    self.allocator = allocator
    objects = try allocator.allocate(size: layout.objectBytes, alignment: multiple, zeroed: false, file: file, line: line)
    do throws(AllocationError) {
      records = try allocator.allocate(size: layout.recordBytes, alignment: CacheLine.bytes, zeroed: true, file: file, line: line)
    } catch {
      allocator.deallocate(objects)
      throw error
    }
    slots = SlotPool(layout, records: records, objects: objects, freed: FreedBytes())
  }

  /// Gives both back. Nobody uses an object any more.
  package func release() {
    slots.endWatch()
    allocator.deallocate(objects)
    allocator.deallocate(records)
  }

  // MARK: Slots

  /// A slot that the caller owns; nil when all are live.
  @inlinable @inline(__always)
  package func take() -> UnsafeMutableRawPointer? { slots.takeListed(SlotPool<HardwareMemory>.Word.free) ?? takeSlowly() }

  @usableFromInline @inline(never)
  func takeSlowly() -> UnsafeMutableRawPointer? {
    var damage: Fault?
    let slot = slots.takeWatched { damage = $0 }
    damage?.report()
    return slot
  }

  /// Takes a slot back; reports what is no live one.
  @inlinable @inline(__always)
  package func put(_ slot: UnsafeRawPointer) {
    if !slots.put(slot) { putSlowly(slot) }
  }

  @usableFromInline @inline(never)
  func putSlowly(_ slot: UnsafeRawPointer) {
    if !slots.putWatched(slot) { reportRefused(slot) }
  }

  @usableFromInline
  func isLive(_ slot: UnsafeRawPointer) -> Bool { slots.isLive(slot) }

  @usableFromInline @inline(never)
  func reportRefused(_ slot: UnsafeRawPointer) { slots.fault(of: slot).report() }

  @usableFromInline
  var capacity: Int { slots.counts.slots }

  package var statistics: ObjectPoolStatistics { ObjectPoolStatistics(slots.counts) }

  /// Touches what the next `count` objects need; false when the capacity is less than that.
  package func preallocate(_ count: Int) -> Bool { slots.touch(count) }
}
