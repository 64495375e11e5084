/// Where the words of the buddy system lie: a word and a link for each block of each order, then the list heads,
/// the control words and the merge queue.
package struct BuddyTables {
  package static let orders = 10
  private let memory: UnsafeMutableRawPointer
  package let units: Int
  /// Entries of the merge queue, a power of two.
  package let queueCapacity: Int
  package static let usualQueueCapacity = 256

  package static func bytes(units: Int, queueCapacity: Int = usualQueueCapacity) -> Int {
    let blocks = 2 * units
    let total = blocks * 16 + orders * SharedPair.bytes + (2 + orders) * 64
      + MergeQueue<HardwareMemory>.bytes(capacity: queueCapacity)
    return (total + 65535) & ~65535
  }

  package init(memory: UnsafeMutableRawPointer, units: Int, queueCapacity: Int = usualQueueCapacity) {
    self.memory = memory
    self.units = units
    self.queueCapacity = queueCapacity
  }

  /// Number of a block among the blocks of all orders: order 0 first. One more is its node in a free list.
  package func number(order: Int, index: Int) -> Int { 2 &* units &- ((2 &* units) &>> order) &+ index }

  /// The state of block `number`.
  package func word(_ number: Int) -> SharedWord { SharedWord(memory + number &* 8) }

  /// The link of block `number` in its free list.
  package func link(_ number: Int) -> SharedWord { SharedWord(memory + (2 &* units &+ number) &* 8) }

  private var heads: UnsafeMutableRawPointer { memory + 32 &* units }
  package func head(order: Int) -> SharedPair { SharedPair(heads + order &* SharedPair.bytes) }

  /// Calls `body` with the head of every list.
  package func forEachPair(_ body: (SharedPair) -> Void) {
    for order in 0..<Self.orders { body(head(order: order)) }
  }

  private var controls: UnsafeMutableRawPointer { heads + Self.orders &* SharedPair.bytes }
  /// A bit for each order whose list may hold a block.
  package var nonEmpty: SharedWord { SharedWord(controls) }
  /// Units handed out to the orders so far; those above are untouched.
  package var frontier: SharedWord { SharedWord(controls + 8) }
  /// Units of free blocks that may hold memory.
  package var dirtyUnits: SharedWord { SharedWord(controls + 16) }
  /// Threads that may have free memory in their hands, and how many ever had.
  package var transits: SharedWord { SharedWord(controls + 24) }
  /// 1 while a thread merges.
  package var workerActive: SharedWord { SharedWord(controls + 64) }
  /// The block of an order that was freed last, not merged yet.
  package func hot(order: Int) -> SharedWord { SharedWord(controls + 128 + order &* 64) }

  package var queue: UnsafeMutableRawPointer { controls + (2 + Self.orders) &* 64 }
}
