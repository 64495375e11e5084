import ScheduleExplorer

/// The queue of Michael and Scott ("Simple, Fast, and Practical Non-Blocking and Blocking Concurrent Queue Algorithms",
/// 1996) of nodes 1 to 3 that are each used once, behind a first one, 4, that holds nothing.
final class MichaelScottQueue {
  let ends = Variables("head", "tail")
  let next = Variables("next 0", "next 1", "next 2", "next 3", "next 4")
  let values = Variables("value 0", "value 1", "value 2", "value 3", "value 4")
  let history = History<QueueModel.Operation>()

  private var head: Variable { ends[0] }
  private var tail: Variable { ends[1] }

  init() {
    head.store(4, .relaxed)
    tail.store(4, .relaxed)
  }

  func enqueue(_ node: UInt) {
    values[Int(node)].write(10 * node)
    history.record {
      while true {
        let last = tail.load(.acquiring)
        let found = Explored.compareExchange(next[Int(last)].address, expected: 0, desired: node, .releasing)
        _ = tail.compareExchange(last, found == 0 ? node : found, .releasing)
        if found == 0 { return }
      }
    } as: { .enqueue(10 * node) }
  }

  func dequeue() {
    _ = history.record {
      while true {
        let first = head.load(.relaxed)
        let node = next[Int(first)].load(.acquiring)
        if node == 0 { return 0 }
        // The head must not overtake the tail.
        if tail.load(.relaxed) == first { _ = tail.compareExchange(first, node, .relaxed) }
        if head.compareExchange(first, node, .relaxed) { return values[Int(node)].read() }
      }
    } as: { .dequeue($0) }
  }
}

/// First in, first out; 0 for none.
enum QueueModel: SequentialModel {
  enum Operation {
    case enqueue(UInt)
    case dequeue(UInt)
  }

  static let initial: [UInt] = []

  static func apply(_ operation: Operation, to state: inout [UInt]) -> Bool {
    switch operation {
    case .enqueue(let value): state.append(value)
    case .dequeue(let value): return (state.isEmpty ? 0 : state.removeFirst()) == value
    }
    return true
  }
}
