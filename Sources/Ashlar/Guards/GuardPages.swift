import CAshlar

/// Slots of one page each, an inaccessible page on either side: a sampled block lies at the end of its slot's page, so
/// that an access behind it, or to it once it was freed, is stopped at the instruction that makes it (Electric Fence,
/// Perens 1987; sampled as in GWP-ASan, Serebryany et al. 2024).
///
/// A slot that was freed stays inaccessible for as long as others are free: first in, first out. Records are changed
/// under a lock. The handler of a forbidden access reads them without one, as the thread that made the access may
/// hold it; what it reads of a block that another thread is just freeing may be stale.
package struct GuardPages<Memory: SharedMemory> {
  // Words: lock, base of the pages, first free slot and, where there is one, the last (number plus one), the records.
  private let state: PlainPointer<Memory, UInt>

  private struct Slot {
    /// Of the block that it holds or held last.
    var record: GuardRecord?
    /// Whether the system refused to take the page's contents.
    var isDirty: Bool
    var nextFree: UInt
    var live: GuardRecord? { record.flatMap { $0.isFree ? nil : $0 } }
  }

  package static var bytes: Int { CacheLine.bytes }
  package static var slotCount: Int { 256 }

  /// `state` is `bytes` long and zero.
  package init(state: UnsafeMutableRawPointer) { self.state = PlainPointer(state) }

  package var lock: Lock<Memory> { Lock(SharedWord(state)) }
  private var baseWord: SharedWord { SharedWord(state + 1) }
  private var base: UInt { Memory.loadAcquiring(baseWord) }
  private var page: UInt { UInt(System.pageBytes) }
  private var regionBytes: UInt { (2 * UInt(Self.slotCount) + 1) * page }
  private var slotBytes: Int { Self.slotCount * MemoryLayout<Slot>.stride }
  private var slots: PlainPointer<Memory, Slot> {
    PlainPointer(UnsafeMutableRawPointer(bitPattern: state[4]).unsafelyUnwrapped)
  }

  /// Reserves the pages, if that has not been done; false when the system refuses.
  package func open() -> Bool {
    lock.withLock {
      if base != 0 { return true }
      guard let records = System.map(slotBytes) else { return false }
      guard let memory = System.reserve(Int(regionBytes), readable: false, writable: false) else {
        System.unmap(records, slotBytes)
        return false
      }
      state[4] = UInt(bitPattern: records)
      for slot in 0..<Self.slotCount {
        slots[slot].record = nil
        appendFree(slot, isDirty: false)
      }
      Memory.storeReleasing(UInt(bitPattern: memory), to: baseWord)
      return true
    }
  }

  package func contains(_ address: UInt) -> Bool { base != 0 && address &- base < regionBytes }

  /// Whether a slot can hold such a block.
  package func fits(size: Int, alignment: Int) -> Bool { size <= Int(page) && alignment <= Int(page) }

  private func start(of slot: Int) -> UInt { base &+ (2 &* UInt(slot) &+ 1) &* page }

  /// The slot whose page an address lies in; nil for the pages between.
  private func slot(at address: UInt) -> Int? {
    let number = (address &- base) / page
    return number % 2 == 1 ? Int(number / 2) : nil
  }

  // MARK: Blocks

  /// A block of zeros at the end of a slot's page; nil when every slot is in use, or the system refuses.
  package func allocate(size: Int, alignment: Int, canary: Canary, site: Site) -> UserPointer? {
    guard let (slot, isDirty) = takeFree() else { return nil }
    let start = start(of: slot)
    guard System.makeWritable(UnsafeMutableRawPointer(bitPattern: start).unsafelyUnwrapped, Int(page)) else {
      putFree(slot, isDirty: isDirty)
      return nil
    }
    if isDirty {
      UnsafeMutableRawPointer(bitPattern: start).unsafelyUnwrapped.initializeMemory(as: UInt8.self, repeating: 0, count: Int(page))
    }
    let end = start &+ page
    let granule = RegionLayout.granuleBytes
    let user = UserPointer(
      UnsafeMutableRawPointer(bitPattern: (end &- UInt(max(size, granule))).roundedDown(to: UInt(max(alignment, granule)))))
    let record = GuardRecord(
      user: user, size: size, offset: user.address &- start, end: end, level: .small, tag: .none,
      allocated: site)
    canary.seal(record.zoneBefore)
    canary.seal(record.zoneBehind)
    lock.withLock { slots[slot].record = record }
    return user
  }

  /// What is known of the block that a user's pointer points at, live or freed.
  package func record(of user: UserPointer) -> GuardRecord? {
    guard contains(user.address), let slot = slot(at: user.address) else { return nil }
    return lock.withLock { known(user, slot) }
  }

  private func known(_ user: UserPointer, _ slot: Int) -> GuardRecord? {
    slots[slot].record.flatMap { $0.user == user.address ? $0 : nil }
  }

  /// Makes a live block a freed one. Of any number of threads that try, one has it.
  package func release(_ user: UserPointer, by site: Site) -> GuardedBlocks<Memory>.Release {
    guard let slot = slot(at: user.address) else { return .unknown }
    return lock.withLock {
      guard var record = known(user, slot) else { return .unknown }
      if record.isFree { return .alreadyFree(record) }
      record.freed = site
      slots[slot].record = record
      slots[slot].record?.isFree = true
      return .taken(record)
    }
  }

  /// Makes a released block's page inaccessible, and its slot free for use once all others have been.
  package func retire(_ record: GuardRecord) {
    guard let slot = slot(at: record.user) else { return }
    // Refused, the page stays accessible: late accesses then go unseen.
    let isForbidden = System.forbid(UnsafeMutableRawPointer(bitPattern: start(of: slot)).unsafelyUnwrapped, Int(page))
    putFree(slot, isDirty: !isForbidden)
  }

  private func takeFree() -> (slot: Int, isDirty: Bool)? {
    lock.withLock {
      guard state[2] != 0 else { return nil }
      let slot = Int(state[2]) - 1
      state[2] = slots[slot].nextFree
      return (slot, slots[slot].isDirty)
    }
  }

  private func putFree(_ slot: Int, isDirty: Bool) { lock.withLock { appendFree(slot, isDirty: isDirty) } }

  private func appendFree(_ slot: Int, isDirty: Bool) {
    slots[slot].isDirty = isDirty
    slots[slot].nextFree = 0
    if state[2] == 0 { state[2] = UInt(slot) + 1 } else { slots[Int(state[3]) - 1].nextFree = UInt(slot) + 1 }
    state[3] = UInt(slot) + 1
  }

  // MARK: Faults

  /// The fault that an access to a forbidden page was; nil when the page is none of these.
  package func fault(accessing address: UInt) -> Fault? {
    guard contains(address) else { return nil }
    if let slot = slot(at: address) {
      return fault(of: slot, .useAfterFree, address) ?? unknownAccess(address)
    }
    // Between two slots: behind the left one, or before the right one, whichever is nearer and was in use.
    let number = Int((address &- base) / page)
    let (left, right) = (number / 2 - 1, number / 2)
    let isLeftNearer = (address &- base) % page < page / 2
    let (overflow, underflow) = (fault(of: left, .overflow, address), fault(of: right, .underflow, address))
    return (isLeftNearer ? overflow ?? underflow : underflow ?? overflow) ?? unknownAccess(address)
  }

  private func fault(of slot: Int, _ kind: Fault.Kind, _ address: UInt) -> Fault? {
    guard (0..<Self.slotCount).contains(slot), let record = slots[slot].record else { return nil }
    return record.fault(record.isFree ? .useAfterFree : kind, .access, at: address)
  }

  private func unknownAccess(_ address: UInt) -> Fault {
    Fault(operation: .access, kind: .invalidPointer, address: address, state: "in a guard page that belongs to no block")
  }

  /// Damage to the canaries of live blocks that no call has answered yet; nil when there is none left.
  package func nextDamage(_ canary: Canary, found operation: Operation) -> Fault? {
    guard base != 0 else { return nil }
    return lock.withLock {
      for slot in 0..<Self.slotCount {
        guard let record = slots[slot].live, !record.isReported, let fault = record.damage(canary, found: operation) else { continue }
        slots[slot].record?.isReported = true
        return fault
      }
      return nil
    }
  }

  /// Live blocks, and their bytes.
  package var live: (blocks: Int, bytes: Int) {
    guard base != 0 else { return (0, 0) }
    return lock.withLock {
      var (blocks, bytes) = (0, 0)
      for slot in 0..<Self.slotCount {
        guard let record = slots[slot].live else { continue }
        blocks += 1
        bytes += record.size
      }
      return (blocks, bytes)
    }
  }
}
