import Ashlar
import ScheduleExplorer

/// A bounded queue of words.
final class QueueState {
  let process = ModelProcess()
  let queue: MergeQueue<SteppingMemory>
  let payload: PlainPointer<SteppingMemory, UInt>
  let history = History<QueueOperation>()

  /// - Parameter turns: how often each cell has been used before.
  init(capacity: Int = 2, entries: [UInt] = [], turns: Int = 0) {
    let memory = process.take(4096, "memory")
    Explored.name("tail", memory, bytes: 8)
    Explored.name("head", memory + 64, bytes: 8)
    for cell in 0..<capacity {
      Explored.name("sequence \(cell)", memory + 128 + 16 * cell, bytes: 8)
      Explored.name("value \(cell)", memory + 136 + 16 * cell, bytes: 8)
    }
    queue = MergeQueue(words: memory, capacity: capacity)
    payload = PlainPointer(memory + 2048)
    for _ in 0..<(turns * capacity) {
      _ = queue.push(9)
      _ = queue.pop()
    }
    for entry in entries { _ = push(entry) }
  }

  func push(_ entry: UInt) -> Bool { history.record({ queue.push(entry) }) { .push(entry, $0) } }
  func pop() -> UInt? { history.record({ queue.pop() }) { .pop($0) } }

  // Vyukov's queue may answer "empty" or "full" while the thread whose turn a cell is has not finished with it, so only
  // what went in and came out is held against the order of a queue.
  func requireSound() throws {
    while pop() != nil {}
    try history.requireLinearizable(BoundedFIFO.self)
    for _ in 0..<queue.capacity { try require(queue.push(9), "refused, though the queue is empty") }
  }
}

enum QueueOperation {
  case push(UInt, Bool)
  case pop(UInt?)
}

enum BoundedFIFO: SequentialModel {
  static var initial: [UInt] { [] }

  static func apply(_ operation: QueueOperation, to state: inout [UInt]) -> Bool {
    switch operation {
    case .push(let entry, true): state.append(entry)
    case .push(_, false), .pop(nil): break
    case .pop(let entry?):
      guard state.first == entry else { return false }
      state.removeFirst()
    }
    return true
  }
}

extension Action where State == QueueState {
  static func push(_ entry: UInt) -> Action { Action("push \(entry)") { _ = $0.push(entry) } }
  static var pop: Action { Action("pop") { _ = $0.pop() } }
}

extension Model {
  private static func queue(
    _ make: @escaping () -> QueueState, _ threads: [Action<QueueState>]...
  ) -> Scenario<QueueState> {
    var scenario = Scenario("queue", make)
    for thread in threads { scenario.thread(thread) }
    return scenario.checking { try $0.requireSound() }
  }

  static let queueModels: [Model] = [
    Model("queue-push-pop", "merge queue: entries come out once, in the order in which they went in", threads: 2) {
      queue({ QueueState() }, [.push(1), .push(2)], [.pop, .pop])
    },
    Model("queue-two-pushers", "merge queue: two threads push, and both entries are there", threads: 2) {
      queue({ QueueState() }, [.push(1), .pop], [.push(2), .pop])
    },
    Model("queue-two-poppers", "merge queue: two threads pop, and no entry comes out twice", threads: 3) {
      queue({ QueueState(entries: [1]) }, [.pop], [.pop], [.push(2)])
    },
    Model("queue-full", "merge queue: a full queue refuses, and what it refused stays the caller's", threads: 2) {
      queue({ QueueState(entries: [1]) }, [.push(2), .push(3)], [.pop, .push(4)])
    },
    Model("queue-wrap", "merge queue: cells are used again", threads: 2) {
      queue({ QueueState(entries: [1, 2], turns: 3) }, [.pop, .push(3)], [.pop, .push(4)])
    },
    Model("queue-publication", "merge queue: who pops an entry sees what was written before it was pushed", threads: 2) {
      Scenario("queue") { QueueState() }
        .with(Action("write, push") { state in
          state.payload[1] = 42
          _ = state.push(1)
        })
        .with(Action("pop, read, write") { state in
          guard let entry = state.pop() else { return }
          try require(state.payload[Int(entry)] == 42, "what was written before the push is not there")
          state.payload[Int(entry)] = 43
        })
    },
    Model("queue-reuse", "merge queue: who fills a cell again does so after it was emptied", threads: 2) {
      queue({ QueueState(entries: [1, 2]) }, [.push(3), .push(4)], [.pop, .pop])
    },
    Model("queue-abandoned-cell", "merge queue: a pusher cut off by a fork leaves a cell that the child fills", threads: 2) {
      var scenario = Scenario("queue") { QueueState() }
        .with(.push(1), .push(2))
        .with(Action("fork, repair, pop, push, pop") { state in
          Explored.endOtherThreads()
          state.queue.fillAbandonedCells()
          while let entry = state.queue.pop() { try require(entry <= 2, "popped \(entry)") }
          try require(state.queue.push(5), "refused in an empty queue")
          try require(state.queue.pop() == 5, "what was pushed is not there")
        })
      scenario.reduces = false
      return scenario
    },
  ]
}
