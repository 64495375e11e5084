/// A hash table from addresses to records, in mapped memory of its own (linear probing, backward-shift deletion).
///
/// Not thread-safe: its owner holds a lock. O(1) expected; it doubles when half full. `Value` is a plain struct.
package struct AddressTable<Memory: SharedMemory, Value> {
  // Words: table, capacity, used.
  private let state: PlainPointer<Memory, UInt>

  private struct Entry {
    var key: UInt
    var value: Value
  }

  package static var bytes: Int { 24 }

  /// `state` is `bytes` long and zero: an empty table.
  package init(state: PlainPointer<Memory, UInt>) { self.state = state }

  package var count: Int { Int(state[2]) }
  private var capacity: Int { Int(state[1]) }
  private var entries: PlainPointer<Memory, Entry> {
    PlainPointer(UnsafeMutableRawPointer(bitPattern: state[0]).unsafelyUnwrapped)
  }

  private func slot(_ key: UInt) -> Int {
    Int(bitPattern: ((key &>> 4) &* 0x9E37_79B9_7F4A_7C15) &>> 32) & (capacity &- 1)
  }

  private func next(_ index: Int) -> Int { (index &+ 1) & (capacity &- 1) }

  private func find(_ key: UInt) -> Int? {
    guard capacity > 0 else { return nil }
    var index = slot(key)
    while entries[index].key != 0 {
      if entries[index].key == key { return index }
      index = next(index)
    }
    return nil
  }

  package subscript(key: UInt) -> Value? { find(key).map { entries[$0].value } }

  /// Changes the record of `key`; false when there is none.
  @discardableResult
  package func update(_ key: UInt, _ body: (inout Value) -> Void) -> Bool {
    guard let index = find(key) else { return false }
    body(&entries[index].value)
    return true
  }

  /// Makes sure that one more record fits; false when the system has no memory for a larger table.
  package func makeRoom() -> Bool {
    guard count * 2 >= capacity else { return true }
    let oldCapacity = capacity
    let old = oldCapacity > 0 ? entries : nil
    let wanted = oldCapacity == 0 ? 256 : oldCapacity * 2
    let stride = MemoryLayout<Entry>.stride
    guard let memory = Memory.map(wanted * stride) else { return false }
    state[0] = UInt(bitPattern: memory)
    state[1] = UInt(wanted)
    state[2] = 0
    if let old {
      for index in 0..<oldCapacity where old[index].key != 0 { insert(old[index].key, old[index].value) }
      Memory.unmap(old.raw, oldCapacity * stride)
    }
    return true
  }

  /// Adds a record. `key` is not zero and has none yet; `makeRoom` has answered true since the last one.
  package func insert(_ key: UInt, _ value: Value) {
    var index = slot(key)
    while entries[index].key != 0 { index = next(index) }
    entries[index] = Entry(key: key, value: value)
    state[2] += 1
  }

  /// Takes the record of `key` out; nil when there is none.
  @discardableResult
  package func remove(_ key: UInt) -> Value? {
    guard let found = find(key) else { return nil }
    let value = entries[found].value
    var hole = found
    var index = next(hole)
    while entries[index].key != 0 {
      // A record may move back into the hole unless its home lies behind the hole.
      let home = slot(entries[index].key)
      if (index &- home) & (capacity &- 1) >= (index &- hole) & (capacity &- 1) {
        entries[hole] = entries[index]
        hole = index
      }
      index = next(index)
    }
    entries[hole].key = 0
    state[2] -= 1
    return value
  }

  /// Takes every record out and gives the table's memory back.
  package func removeAll() {
    if capacity > 0 { Memory.unmap(entries.raw, capacity * MemoryLayout<Entry>.stride) }
    (state[1], state[2]) = (0, 0)
  }

  /// Calls `body` with every key and record until it answers false, in no order. The table must not change meanwhile.
  package func visit(_ body: (UInt, Value) -> Bool) {
    for index in 0..<capacity where entries[index].key != 0 {
      guard body(entries[index].key, entries[index].value) else { return }
    }
  }

  /// A key and its record for which `isMeant` holds; nil when there is none. O(capacity).
  package func first(where isMeant: (UInt, Value) -> Bool) -> (key: UInt, value: Value)? {
    var found: (key: UInt, value: Value)?
    visit { key, value in
      if isMeant(key, value) { found = (key, value) }
      return found == nil
    }
    return found
  }

  /// Whether every record is found under its key, and the count is right.
  package func checkInvariants() -> Bool {
    var found = 0
    for index in 0..<capacity where entries[index].key != 0 {
      guard find(entries[index].key) == index else { return false }
      found += 1
    }
    return found == count
  }
}
