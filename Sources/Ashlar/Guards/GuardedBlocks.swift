/// The guarded blocks, live and in quarantine, in a table under a lock.
///
/// The records lie in memory of their own, out of reach of what they guard against. A freed small or medium block stays
/// in the *quarantine*, first in first out, until more than the quarantine's capacity has been freed after it; only then
/// may its memory be used again. A mapping, and what is larger than the quarantine, is given back at once. The table alone decides whether a block may be freed. O(1) expected.
package struct GuardedBlocks<Memory: SharedMemory> {
  // Words: lock, table (3), oldest and newest in quarantine, bytes in quarantine, blocks in it, then those of each tag.
  private let state: PlainPointer<Memory, UInt>
  private let table: AddressTable<Memory, GuardRecord>

  package static var bytes: Int { (8 + 128) * 8 }
  /// Blocks in quarantine, at most.
  private static var blockLimit: UInt { 1 << 16 }

  /// `state` is `bytes` long and zero.
  package init(state: UnsafeMutableRawPointer) {
    self.state = PlainPointer(state)
    table = AddressTable(state: self.state + 1)
  }

  package var lock: Lock<Memory> { Lock(SharedWord(state)) }

  /// What became of an attempt to free a block.
  package enum Release {
    /// The block is the caller's alone now, to be checked, filled and put in quarantine. The record says live: its bytes
    /// have not been filled yet.
    case taken(GuardRecord)
    case alreadyFree(GuardRecord)
    case unknown
  }

  /// Lists a live block; false when there is no memory for its record.
  package func insert(_ record: GuardRecord) -> Bool {
    lock.withLock {
      guard table.makeRoom() else { return false }
      table.insert(record.user, record)
      return true
    }
  }

  /// What is known of the block, live or freed, that a user's pointer points at.
  package func record(of user: UserPointer) -> GuardRecord? { lock.withLock { table[user.address] } }

  /// What is known of the block whose memory begins here; for reports. O(blocks).
  package func record(at base: BlockBase) -> GuardRecord? { first { $0.base == base } }

  private func first(where isMeant: (GuardRecord) -> Bool) -> GuardRecord? {
    lock.withLock { table.first { _, record in isMeant(record) }?.value }
  }

  /// Makes a live block a freed one. Of any number of threads that try, one has it.
  package func release(_ user: UserPointer, by site: Site) -> Release {
    lock.withLock {
      guard var record = table[user.address] else { return .unknown }
      if record.isFree { return .alreadyFree(record) }
      record.freed = site
      _ = table.update(user.address) {
        $0.freed = site
        $0.isFree = true
      }
      return .taken(record)
    }
  }

  /// Forgets a released block.
  package func forget(_ record: GuardRecord) { _ = lock.withLock { table.remove(record.user) } }

  /// Forgets every block of a level that is never quarantined, each after `willForget`. O(blocks) each.
  package func forgetAll(_ level: Level, _ willForget: (GuardRecord) -> Void) {
    while let record = first(where: { $0.level == level }) {
      willForget(record)
      forget(record)
    }
  }

  /// Blocks in quarantine whose memory has a tag.
  package func quarantined(_ tag: Tag) -> Int { lock.withLock { Int(state[8 + Int(tag.value)]) } }

  /// Puts a released block last in the quarantine.
  package func quarantine(_ record: GuardRecord) {
    lock.withLock {
      state[8 + Int(record.tag.value)] += 1
      if state[5] == 0 { state[4] = record.user } else { _ = table.update(state[5]) { $0.nextFreed = record.user } }
      state[5] = record.user
      state[6] += UInt(record.size)
      state[7] += 1
    }
  }

  /// Takes out the block that has been in quarantine longest, if that holds more than `capacity` bytes or too many blocks;
  /// with a capacity of nil, whatever it holds.
  package func evict(over capacity: Int?) -> GuardRecord? {
    lock.withLock {
      if let capacity, Int(state[6]) <= capacity, state[7] <= Self.blockLimit { return nil }
      guard let record = table.remove(state[4]) else { return nil }
      state[8 + Int(record.tag.value)] -= 1
      state[4] = record.nextFreed
      if record.nextFreed == 0 { state[5] = 0 }
      state[6] -= UInt(record.size)
      state[7] -= 1
      return record
    }
  }

  /// Damage that no call has answered yet, one block at a time; nil when there is none left. O(blocks).
  ///
  /// A block that is being freed or evicted is left to whoever does that.
  package func nextDamage(_ canary: Canary, _ marks: MemoryMarks, found operation: Operation) -> Fault? {
    lock.withLock {
      var found: Fault?
      table.visit { address, record in
        guard !record.isReported, !record.isFree || isQuarantined(record) else { return true }
        found = marks.whilePermitted(record) { record.damage(canary, found: operation) }
        return found == nil
      }
      if let found { _ = table.update(found.address) { $0.isReported = true } }
      return found
    }
  }

  // Between `release` and `quarantine` a block is freed but not filled yet.
  private func isQuarantined(_ record: GuardRecord) -> Bool { record.nextFreed != 0 || state[5] == record.user }

  package func checkInvariants() -> Bool {
    lock.withLock {
      var blocks: UInt = 0
      var bytes: UInt = 0
      var user = state[4]
      while user != 0, blocks <= state[7], let record = table[user], record.isFree {
        blocks += 1
        bytes += UInt(record.size)
        user = record.nextFreed
      }
      return table.checkInvariants() && user == 0 && blocks == state[7] && bytes == state[6]
    }
  }
}

extension MemoryMarks {
  /// Runs `body`, which reads what only the allocator may.
  package func whilePermitted<Result>(_ record: GuardRecord, _ body: () -> Result) -> Result {
    permit(record.zoneBefore)
    permit(record.zoneBehind)
    if record.isFree { permit(record.bytes) }
    defer {
      forbid(record.zoneBefore)
      forbid(record.zoneBehind)
      if record.isFree { forbid(record.bytes) }
    }
    return body()
  }
}
