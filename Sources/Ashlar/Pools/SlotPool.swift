/// Slots of one size for objects: what an object pool is made of.
///
/// The slots lie in one block, their records in another, and nothing is ever written into a free slot. A free slot is either
/// *untouched*, above the frontier, or listed: the last one freed is the next one taken, its memory still in the processor's cache. A
/// byte for each 16-byte granule says what begins there, as in the heap's region, so one load tells a live slot from a free one, and
/// both from any other address, which is never read through.
///
/// A value of pointers. Not thread-safe: an owner, or who holds a lock. Both blocks outlive it, and belong to nothing else.
/// Every function is O(1) unless it says otherwise.
///
/// Where the pool is watched, what is inlined into a user's code reaches nothing: the list is empty and no slot lies below `reach`. So
/// a pool that is not watched pays nothing for those that are.
@usableFromInline
package struct SlotPool<Memory: PlainMemory> {
  @usableFromInline let words: PlainPointer<Memory, UInt>
  @usableFromInline let tags: PlainPointer<Memory, UInt8>
  @usableFromInline let objects: UnsafeMutableRawPointer
  /// Granules of a slot, and of all of them.
  private let slotGranules: UInt
  package let granules: UInt
  /// `granules`, or 0 where the pool is watched.
  @usableFromInline let reach: UInt
  private let freed: FreedBytes

  @inlinable @inline(__always)
  var base: UInt { UInt(bitPattern: objects) }

  package var isWatched: Bool { reach != granules }

  // Slots freed and not taken again, and those of a watched pool; the first granule that no slot was taken from; slots ever
  // taken; a lock, for who needs one.
  @usableFromInline enum Word {
    @inlinable static var free: Int { 0 }
    static var watchedFree: Int { 4 }
    static var frontier: Int { 1 }
    @inlinable static var taken: Int { 2 }
    static var lock: Int { 3 }
    @inlinable static var bytes: Int { CacheLine.bytes }
  }

  // Behind the words: the first granules of the free slots, the one freed last at the end.
  @inlinable @inline(__always)
  var freeSlots: PlainPointer<Memory, UInt32> { PlainPointer(words.raw + Word.bytes) }

  @usableFromInline enum SlotTag {
    @inlinable static var free: UInt8 { 1 }
    @inlinable static var live: UInt8 { 2 }
  }

  /// The sizes of the two blocks that a pool lies in.
  package struct Layout {
    package let slotBytes: Int
    package let slots: Int
    package var objectBytes: Int { slots * slotBytes }
    package var recordBytes: Int { Word.bytes + listBytes + objectBytes / RegionLayout.granuleBytes }
    var listBytes: Int { CacheLine.rounded(slots * MemoryLayout<UInt32>.stride) }

    /// Nil for a negative number of slots, and for more than 64 GiB of them.
    package init?(slots: Int, size: Int, alignment: Int) {
      let multiple = max(alignment, RegionLayout.granuleBytes)
      let (padded, tooLarge) = max(size, RegionLayout.granuleBytes).addingReportingOverflow(multiple - 1)
      slotBytes = padded.roundedDown(to: multiple)
      self.slots = slots
      let (bytes, overflow) = slots.multipliedReportingOverflow(by: slotBytes)
      guard slots >= 0, !tooLarge, !overflow, bytes <= 64 << 30 else { return nil }
    }
  }

  /// - Parameters:
  ///   - records: `layout.recordBytes` zeroes, 64-byte aligned.
  ///   - objects: `layout.objectBytes`, aligned as the slots are to be, and to 16 at least.
  package init(_ layout: Layout, records: UnsafeMutableRawPointer, objects: UnsafeMutableRawPointer, freed: FreedBytes) {
    words = PlainPointer(records)
    tags = PlainPointer(records + Word.bytes + layout.listBytes)
    self.objects = objects
    slotGranules = UInt(layout.slotBytes) &>> RegionLayout.granuleShift
    granules = UInt(layout.objectBytes) &>> RegionLayout.granuleShift
    self.freed = freed
    reach = freed.isWatched ? 0 : granules
    freed.forbid(base..<base + UInt(layout.objectBytes))
  }

  package var lock: SharedWord { SharedWord(words + Word.lock) }

  // MARK: Taking and putting back

  /// A slot that the caller owns; nil when all are live. Where the pool is watched: `takeWatched`.
  package func take() -> UnsafeMutableRawPointer? { takeListed(Word.free) ?? takeUntouched() }

  /// The slot that was freed last; nil when none is listed.
  @inlinable @inline(__always)
  func takeListed(_ list: Int) -> UnsafeMutableRawPointer? {
    let free = words[list]
    guard free > 0 else { return nil }
    words[list] = free &- 1
    return hand(UInt(freeSlots[Int(bitPattern: free &- 1)]))
  }

  func takeUntouched() -> UnsafeMutableRawPointer? {
    let granule = words[Word.frontier]
    guard granule < granules else { return nil }
    words[Word.frontier] = granule &+ slotGranules
    return hand(granule)
  }

  @inlinable @inline(__always)
  func hand(_ granule: UInt) -> UnsafeMutableRawPointer {
    words[Word.taken] &+= 1
    tags[Int(bitPattern: granule)] = SlotTag.live
    return objects + Int(bitPattern: granule &<< 4)
  }

  /// Takes a slot back. False, and no effect, when no live one begins there. Where the pool is watched: `putWatched`.
  @inlinable @inline(__always)
  package func put(_ slot: UnsafeRawPointer) -> Bool {
    guard let granule = live(slot, below: reach) else { return false }
    list(granule, Word.free)
    return true
  }

  @inlinable @inline(__always)
  func list(_ granule: UInt, _ list: Int) {
    tags[Int(bitPattern: granule)] = SlotTag.free
    let free = words[list]
    freeSlots[Int(bitPattern: free)] = UInt32(truncatingIfNeeded: granule)
    words[list] = free &+ 1
  }

  /// The granule of a live slot; nil when none begins there.
  @inlinable @inline(__always)
  func live(_ slot: UnsafeRawPointer, below limit: UInt) -> UInt? {
    let offset = UInt(bitPattern: slot) &- base
    // Rotating puts the bits of a misaligned address on top, out of range: one comparison for both tests.
    let granule = (offset &>> 4) | (offset &<< 60)
    return granule < limit && tags[Int(bitPattern: granule)] == SlotTag.live ? granule : nil
  }

  /// Whether a live slot begins there.
  package func isLive(_ slot: UnsafeRawPointer) -> Bool { live(slot, below: granules) != nil }

  // MARK: Watched pools

  /// A slot; what was found to have been written into it while it was free is handed to `damage`.
  package func takeWatched(_ damage: (Fault) -> Void) -> UnsafeMutableRawPointer? {
    guard let slot = takeListed(Word.watchedFree) else {
      // It was never a user's, and is not filled.
      let slot = takeUntouched()
      if let slot { freed.permit(bytes(of: slot)) }
      return slot
    }
    let bytes = bytes(of: slot)
    guard let changed = freed.reissue(bytes) else { return slot }
    var fault = Fault(operation: .reuse, kind: .writeAfterFree, address: bytes.lowerBound, state: "free: in its object pool")
    fault.blockSize = bytes.count
    fault.offset = Int(changed - bytes.lowerBound)
    damage(fault)
    return slot
  }

  package func putWatched(_ slot: UnsafeRawPointer) -> Bool {
    guard let granule = live(slot, below: granules) else { return false }
    freed.retire(bytes(granule))
    list(granule, Word.watchedFree)
    return true
  }

  /// Lets anybody touch the slots again, as whoever gave the block must be able to.
  package func endWatch() { freed.permit(base..<base + granules << RegionLayout.granuleShift) }

  private func bytes(of slot: UnsafeMutableRawPointer) -> Range<UInt> {
    bytes((UInt(bitPattern: slot) - base) >> RegionLayout.granuleShift)
  }

  private func bytes(_ granule: UInt) -> Range<UInt> {
    let start = base + granule << RegionLayout.granuleShift
    return start..<start + slotGranules << RegionLayout.granuleShift
  }

  // MARK: Reports

  /// What is wrong with an address that `put` refused. Only records are read.
  package func fault(of slot: UnsafeRawPointer) -> Fault {
    let offset = UInt(bitPattern: slot) &- base
    let granule = offset >> RegionLayout.granuleShift
    var fault = Fault(operation: .free, kind: .invalidPointer, address: UInt(bitPattern: slot), state: "not from this object pool")
    guard granule < granules else { return fault }
    fault.blockSize = Int(slotGranules << RegionLayout.granuleShift)
    if offset % (slotGranules << RegionLayout.granuleShift) != 0 {
      fault.state = "inside an object of the pool"
    } else if tags[Int(granule)] == SlotTag.free {
      fault.kind = .doubleFree
      fault.state = "already free: in its object pool"
    } else {
      fault.state = "never allocated: untouched in its object pool"
    }
    return fault
  }

  // MARK: The pool as a whole

  private var listed: UInt { words[isWatched ? Word.watchedFree : Word.free] }

  /// Slots that it has, live ones, the most that ever were live at once, and how often one was taken.
  package var counts: (slots: Int, live: Int, peak: Int, taken: Int) {
    let used = Int(words[Word.frontier] / slotGranules)
    return (Int(granules / slotGranules), used - Int(listed), used, Int(words[Word.taken]))
  }

  /// Touches the memory of the next `count` slots and their records, so that taking them makes no page fault; false, and no
  /// effect, when there are fewer left. O(bytes of them).
  package func touch(_ count: Int) -> Bool {
    guard counts.slots - counts.live >= count else { return false }
    let (frontier, listed) = (words[Word.frontier], Int(listed))
    let fresh = UInt(max(0, count - listed)) * slotGranules
    let slots = bytes(frontier).lowerBound..<base + (frontier + fresh) << RegionLayout.granuleShift
    freed.permit(slots)
    Self.touch(slots)
    freed.forbid(slots)
    let firstTag = UInt(bitPattern: tags.raw) + frontier
    Self.touch(firstTag..<firstTag + fresh)
    let list = UInt(bitPattern: freeSlots.raw)
    Self.touch(list + UInt(listed) * 4..<list + UInt(max(count, listed)) * 4)
    return true
  }

  // The bytes are untouched slots and unused records: what they hold is of no account, but a tag, and those are zero here.
  private static func touch(_ bytes: Range<UInt>) {
    for address in stride(from: bytes.lowerBound, to: bytes.upperBound, by: System.pageBytes) {
      UnsafeMutablePointer<UInt8>(bitPattern: address).unsafelyUnwrapped.pointee = 0
    }
    if let last = bytes.last { UnsafeMutablePointer<UInt8>(bitPattern: last).unsafelyUnwrapped.pointee = 0 }
  }

  /// Whether every record agrees with every other. O(granules).
  package func checkInvariants() -> Bool {
    let (frontier, free) = (words[Word.frontier], listed)
    guard frontier <= granules, frontier % slotGranules == 0, free <= frontier / slotGranules else { return false }
    var tagged: UInt = 0
    var live: UInt = 0
    for granule in 0..<granules {
      switch tags[Int(granule)] {
      case 0: if granule < frontier && granule % slotGranules == 0 { return false }
      case SlotTag.free where granule < frontier && granule % slotGranules == 0: tagged += 1
      case SlotTag.live where granule < frontier && granule % slotGranules == 0: live += 1
      default: return false
      }
    }
    let seen = (0..<free).reduce(into: Set<UInt32>()) { $0.insert(freeSlots[Int($1)]) }
    return tagged == free && live + free == frontier / slotGranules && seen.count == Int(free)
      && seen.allSatisfy { UInt($0) < frontier && tags[Int($0)] == SlotTag.free }
  }
}
