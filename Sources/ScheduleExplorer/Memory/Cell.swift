/// What is known of one place in memory during an execution: a word, a pair of words or a byte.
struct Cell {
  let address: UInt
  /// As of its last atomic access.
  var bytes: Int
  /// The last store in modification order, and how many there have been; -1 while it has no history.
  var last: Int32 = -1
  var version: UInt32 = 0
  /// When each thread last touched it, by a plain access or an atomic one.
  var plainReads = Clock()
  var plainWrites = Clock()
  var atomicReads = Clock()
  var atomicWrites = Clock()
  /// What its stores of sequential order have published.
  var sequence = Clock()
  /// For a cell that is a lock: its holder, 0 for nobody, and what was published by releasing it.
  var holder: UInt8 = 0
  var released = Clock()

  init(address: UInt, bytes: Int) {
    self.address = address
    self.bytes = bytes
  }
}

/// One value that a cell had.
struct Store {
  var value: UInt
  var second: UInt = 0
  /// The store before it in modification order; -1 for none.
  var previous: Int32
  /// What a thread that acquires it learns.
  var message = Clock()
  /// When each thread first saw it; `never` where it has not.
  var seen = Clock.never
  /// Whether the next store was made by reading this one and swapping it in one step, so that nothing fits between.
  var isTaken = false
  /// How often each thread has read it although there was a later one.
  var staleReads = SIMD8<UInt8>()
}

/// The cells of an execution, found by address.
struct CellTable {
  private(set) var cells = Pool<Cell>(capacity: 1024)
  // Cell number plus one and generation; entries of earlier generations are free.
  private var slots: UnsafeMutablePointer<(address: UInt, cell: UInt32, generation: UInt32)>
  private var capacity = 4096
  private var generation: UInt32 = 1

  init() {
    slots = .allocate(capacity: capacity)
    slots.initialize(repeating: (0, 0, 0), count: capacity)
    _ = find(0, 8)
  }

  /// The cell that stands for the order of sequential fences: at address 0.
  static let fences = 0

  mutating func removeAll() {
    cells.removeAll()
    generation &+= 1
    _ = find(0, 8)
  }

  subscript(index: Int) -> UnsafeMutablePointer<Cell> { cells.base + index }
  var count: Int { cells.count }

  /// Number of the cell at an address, made if there is none.
  mutating func find(_ address: UInt, _ bytes: Int) -> Int {
    var slot = hash(address)
    while slots[slot].generation == generation {
      if slots[slot].address == address { return Int(slots[slot].cell) }
      slot = (slot &+ 1) & (capacity &- 1)
    }
    slots[slot] = (address, UInt32(cells.count), generation)
    cells.append(Cell(address: address, bytes: bytes))
    if cells.count * 2 > capacity { grow() }
    return cells.count - 1
  }

  private func hash(_ address: UInt) -> Int {
    Int(truncatingIfNeeded: (address &* 0x9E37_79B9_7F4A_7C15) &>> 40) & (capacity &- 1)
  }

  private mutating func grow() {
    slots.deallocate()
    capacity *= 2
    slots = .allocate(capacity: capacity)
    slots.initialize(repeating: (0, 0, 0), count: capacity)
    for index in 0..<cells.count {
      var slot = hash(cells.base[index].address)
      while slots[slot].generation == generation { slot = (slot &+ 1) & (capacity &- 1) }
      slots[slot] = (cells.base[index].address, UInt32(index), generation)
    }
  }

  mutating func deallocate() {
    cells.deallocate()
    slots.deallocate()
  }
}
