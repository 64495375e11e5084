import Ashlar
import ScheduleExplorer

/// A tagged stack of numbered nodes.
final class StackState {
  struct Links: StackLinks {
    let words: UnsafeMutableRawPointer
    func link(of node: UInt) -> SharedWord { SharedWord(words + Int(node) * 64) }
  }

  let process = ModelProcess()
  let stack: TaggedStack<SteppingMemory, Links>
  /// A word a node that its owner writes plain.
  let payload: PlainPointer<SteppingMemory, UInt>
  let history = History<StackOperation>()
  var taken: [UInt] = []

  /// - Parameters:
  ///   - nodes: on the stack at first; the last is on top.
  ///   - tag: of the head at first.
  init(nodes: [UInt], tag: UInt = 0) {
    let memory = process.take(4096, "memory")
    Explored.name("head", memory, bytes: 64)
    for node in 1...8 { Explored.name("link of \(node)", memory + 64 * node, bytes: 8) }
    stack = TaggedStack(head: SharedPair(memory), links: Links(words: memory))
    payload = PlainPointer(memory + 2048)
    memory.storeBytes(of: tag << 24, toByteOffset: 8, as: UInt.self)
    for node in nodes { push(node) }
  }

  func push(_ node: UInt) {
    _ = history.record({ stack.push(node) }) { _ in .push(node) }
  }

  func pop() -> UInt? {
    let node = history.record({ stack.pop() }) { .pop($0) }
    if let node { taken.append(node) }
    return node
  }

  /// What is left, popped in turn.
  func drain() -> [UInt] {
    var nodes: [UInt] = []
    while let node = pop(), nodes.count < 16 { nodes.append(node) }
    return nodes
  }

  func requireSound() throws {
    let depth = stack.depth
    let left = drain()
    try require(left.count == depth, "a stack of \(left.count) nodes says that it is \(depth) deep")
    try require(Set(taken).count == taken.count || history.isLinearizable(LIFO.self), "a node was taken twice")
    try history.requireLinearizable(LIFO.self)
  }
}

enum StackOperation {
  case push(UInt)
  case pop(UInt?)
}

enum LIFO: SequentialModel {
  static var initial: [UInt] { [] }

  static func apply(_ operation: StackOperation, to state: inout [UInt]) -> Bool {
    switch operation {
    case .push(let node): state.append(node)
    case .pop(let node): return state.popLast() == node
    }
    return true
  }
}

extension Action where State == StackState {
  static func push(_ node: UInt) -> Action { Action("push \(node)") { $0.push(node) } }
  static var pop: Action { Action("pop") { _ = $0.pop() } }
  static var popAndPushBack: Action { Action("pop, push back") { state in if let node = state.pop() { state.push(node) } } }
  static func visit(atMost limit: Int) -> Action {
    Action("visit") { state in
      var seen = 0
      state.stack.visit { _ in
        seen += 1
        return seen < 9
      }
      try require(seen <= limit, "a walk of \(seen) nodes")
    }
  }
  static var reverse: Action {
    Action("pop, pop, push first, push second") { state in
      guard let first = state.pop(), let second = state.pop() else { return }
      state.push(first)
      state.push(second)
    }
  }
  /// Four changes that bring the first node back on top of another one.
  static func swapAndPush(_ node: UInt) -> Action {
    Action("pop, pop, push \(node), push first") { state in
      guard let first = state.pop() else { return }
      _ = state.pop()
      state.push(node)
      state.push(first)
    }
  }
  /// Pops the two on top and pushes the first back: what mistakes one head for another.
  static var swap: Action {
    Action("pop, pop, push first") { state in
      guard let first = state.pop() else { return }
      _ = state.pop()
      state.push(first)
    }
  }
}

extension Model {
  private static func stack(_ nodes: [UInt], tag: UInt = 0, _ threads: [Action<StackState>]...) -> Scenario<StackState> {
    var scenario = Scenario("stack") { StackState(nodes: nodes, tag: tag) }
    for thread in threads { scenario.thread(thread) }
    return scenario.checking { try $0.requireSound() }
  }

  static let stackModels: [Model] = [
    Model("stack-aba", "tagged stack: a pop against pop, pop, push of the same node", threads: 2) {
      stack([3, 2, 1], [.pop], [.swap])
    },
    Model("stack-aba-even", "tagged stack: a pop against an even number of changes that bring its node back", threads: 2) {
      stack([3, 2, 1], [.pop], [.swapAndPush(4)])
    },
    Model("stack-push-pop", "tagged stack: pushes and pops of two threads are linearizable", threads: 2) {
      stack([1], [.push(2), .pop], [.pop, .push(3)])
    },
    Model("stack-three-threads", "tagged stack: three threads", threads: 3) {
      stack([1, 2], [.pop], [.popAndPushBack], [.push(3)])
    },
    Model("stack-tag-wrap", "tagged stack: the tag wraps around to zero", threads: 2) {
      stack([3, 2, 1], tag: (1 << 40) - 2, [.pop], [.swap])
    },
    Model("stack-publication", "tagged stack: who pops a node sees what was written before it was pushed", threads: 2) {
      Scenario("stack") { StackState(nodes: []) }
        .with(Action("write, push") { state in
          state.payload[1] = 42
          state.push(1)
        })
        .with(Action("pop, read, write") { state in
          guard let node = state.pop() else { return }
          try require(state.payload[Int(node)] == 42, "what was written before the push is not there")
          state.payload[Int(node)] = 43
        })
    },
    Model("stack-hand-back", "tagged stack: a node's owner changes, and each sees what the last one wrote", threads: 3) {
      Scenario("stack") { StackState(nodes: [1]) }
        .with(.useAndReturn).with(.useAndReturn).with(.useAndReturn)
        .checking { state in try require(state.payload[1] <= 3, "impossible count") }
    },
    Model("stack-visit", "tagged stack: a walk for a report, while nodes come and go, ends", threads: 2) {
      stack([3, 2, 1], [.visit(atMost: 3)], [.pop, .push(4), .swap])
    },
    Model("stack-visit-reversed", "tagged stack: a walk over two nodes that change places ends", threads: 2) {
      stack([2, 1], [.visit(atMost: 2)], [.reverse])
    },
  ]
}

extension Action where State == StackState {
  static var useAndReturn: Action {
    Action("pop, count, push") { state in
      guard let node = state.pop() else { return }
      state.payload[Int(node)] += 1
      state.push(node)
    }
  }
}
