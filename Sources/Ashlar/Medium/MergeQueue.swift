/// A bounded queue for many threads (Vyukov's bounded MPMC queue): freed medium blocks waiting to be merged.
///
/// Each cell has a sequence word and a value. A cell may be filled when its sequence equals the position, and
/// emptied when it equals the position plus one; the sequence is stored with release after the value and read with
/// acquire before it. O(1), lock-free; a full queue refuses, an empty one answers nil.
package struct MergeQueue<Memory: SharedMemory> {
  private let words: UnsafeMutableRawPointer
  package let capacity: Int

  /// Bytes for a queue of `capacity` cells, a power of two: two lines for the positions, then the cells.
  package static func bytes(capacity: Int) -> Int { 2 * CacheLine.bytes + capacity * 16 }

  /// `words` is `bytes(capacity:)` long, and nobody's yet.
  package init(words: UnsafeMutableRawPointer, capacity: Int) {
    self.words = words
    self.capacity = capacity
    for index in 0..<capacity { Memory.store(UInt(index), to: sequence(UInt(index))) }
  }

  private var tail: SharedWord { SharedWord(words) }
  private var head: SharedWord { SharedWord(words + CacheLine.bytes) }

  private func cell(_ position: UInt) -> UnsafeMutableRawPointer {
    words + 2 * CacheLine.bytes + Int(bitPattern: position & UInt(capacity - 1)) * 16
  }
  private func sequence(_ position: UInt) -> SharedWord { SharedWord(cell(position)) }
  // Owned by whoever has claimed the position.
  private func value(_ position: UInt) -> PlainPointer<Memory, UInt> { PlainPointer(cell(position) + 8) }

  /// False when the queue is full; the value is then still the caller's.
  package func push(_ entry: UInt) -> Bool {
    var position = Memory.load(tail)
    while true {
      let ahead = Int(bitPattern: Memory.loadAcquiring(sequence(position)) &- position)
      if ahead < 0 { return false }
      if ahead == 0 {
        let found = Memory.compareExchange(tail, expected: position, desired: position &+ 1, .relaxed)
        if found == position { break }
        position = found
      } else {
        position = Memory.load(tail)
      }
    }
    value(position)[0] = entry
    Memory.storeReleasing(position &+ 1, to: sequence(position))
    return true
  }

  package func pop() -> UInt? {
    var position = Memory.load(head)
    while true {
      let ahead = Int(bitPattern: Memory.loadAcquiring(sequence(position)) &- (position &+ 1))
      if ahead < 0 { return nil }
      if ahead == 0 {
        let found = Memory.compareExchange(head, expected: position, desired: position &+ 1, .relaxed)
        if found == position { break }
        position = found
      } else {
        position = Memory.load(head)
      }
    }
    let entry = value(position)[0]
    Memory.storeReleasing(position &+ UInt(capacity), to: sequence(position))
    return entry
  }

  /// Fills the cells that were claimed by threads that are no more with 0, which is no entry. For the child of a fork,
  /// while it is alone and nobody pops: such a cell would stop the queue for ever.
  package func fillAbandonedCells() {
    var position = Memory.load(head)
    let end = Memory.load(tail)
    while position != end {
      if Memory.load(sequence(position)) == position {
        value(position)[0] = 0
        Memory.store(position &+ 1, to: sequence(position))
      }
      position &+= 1
    }
  }

  /// Entries in it, about: exact only while nobody pushes or pops.
  package var depth: Int { max(0, Int(bitPattern: Memory.load(tail) &- Memory.load(head))) }
}
