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
    queueOffset(units: units) + MergeQueue<HardwareMemory>.bytes(capacity: queueCapacity)
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

  // A word and a link for each block of each order lie before it.
  private static func headsOffset(units: Int) -> Int { 32 &* units }
  private static func controlsOffset(units: Int) -> Int { headsOffset(units: units) &+ orders &* SharedPair.bytes }
  private static func queueOffset(units: Int) -> Int { controlsOffset(units: units) &+ (2 &+ orders) &* CacheLine.bytes }

  private var heads: UnsafeMutableRawPointer { memory + Self.headsOffset(units: units) }
  package func head(order: Int) -> SharedPair { SharedPair(heads + order &* SharedPair.bytes) }

  /// Calls `body` with the head of every list.
  package func forEachPair(_ body: (SharedPair) -> Void) {
    for order in 0..<Self.orders { body(head(order: order)) }
  }

  private var controls: UnsafeMutableRawPointer { memory + Self.controlsOffset(units: units) }
  /// A bit for each order whose list may hold a block.
  package var nonEmpty: SharedWord { SharedWord(controls) }
  /// Units handed out to the orders so far; those above are untouched.
  package var frontier: SharedWord { SharedWord(controls + 8) }
  /// Units of free blocks that may hold memory.
  package var dirtyUnits: SharedWord { SharedWord(controls + 16) }
  /// Threads that may have free memory in their hands, and how many ever had.
  package var transits: SharedWord { SharedWord(controls + 24) }
  /// 1 while a thread merges.
  package var workerActive: SharedWord { SharedWord(controls + CacheLine.bytes) }
  /// The block of an order that was freed last, not merged yet.
  package func hot(order: Int) -> SharedWord { SharedWord(controls + (2 &+ order) &* CacheLine.bytes) }

  package var queue: UnsafeMutableRawPointer { memory + Self.queueOffset(units: units) }
}
