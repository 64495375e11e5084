import CScheduleExplorer

/// What a thread will do in its next step, said before it is chosen to do it.
struct Pending {
  enum Kind: UInt8 {
    case load, store, update, lock, tryLock, unlock, wait, wake, pause, goOn
  }
  var kind: Kind
  /// The cell that it touches; -1 for none.
  var cell: Int32
  /// Whether it may change what the cell holds.
  var isWrite: Bool
  /// Whether it also reads what fences of sequential order have published.
  var isSequential = false
  var place: Place

  static let none = Pending(kind: .goOn, cell: -1, isWrite: false, place: .none)
}

/// One thread of an execution.
struct ThreadState {
  enum Status { case runnable, asleep, gone, finished }

  var status = Status.finished
  var pending = Pending.none
  /// What happened before its next step.
  var clock = Clock()
  /// What it has read relaxed: an acquire fence makes it part of the clock.
  var unacquired = Clock()
  /// Its clock at its last release fence.
  var fenced = Clock()
  /// Words that stand for thread-local storage.
  var locals: (UInt, UInt, UInt, UInt) = (0, 0, 0, 0)
  /// Whether a read since its last pause was of a store that is not the latest, or too many cells were read.
  var mayProceed = false
}

/// The cells that a thread has read since its last pause, each as it was at the first look: the thread need not look again
/// before one of them changes.
struct ReadSet {
  static let capacity = 64

  private(set) var count = 0
  /// Whether a cell found no room since.
  private var isFull = false
  private let entries = UnsafeMutablePointer<(cell: Int32, version: UInt32)>.allocate(capacity: Self.capacity)

  subscript(index: Int) -> (cell: Int32, version: UInt32) { entries[index] }

  mutating func removeAll() {
    count = 0
    isFull = false
  }

  /// False when there is no room, and from then on until all are removed.
  mutating func note(_ cell: Int32, _ version: UInt32) -> Bool {
    if isFull { return false }
    for index in 0..<count where entries[index].cell == cell { return true }
    isFull = count == Self.capacity
    if isFull { return false }
    entries[count] = (cell, version)
    count += 1
    return true
  }

  /// The thread's own store is no news to it.
  func renew(_ cell: Int32, from old: UInt32, to new: UInt32) {
    for index in 0..<count where entries[index].cell == cell && entries[index].version == old { entries[index].version = new }
  }

  func deallocate() { entries.deallocate() }
}
