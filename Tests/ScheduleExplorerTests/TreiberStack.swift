import ScheduleExplorer

/// Treiber's stack of nodes 1 to 3, each a word that holds the next (R. K. Treiber, 1986). Its head may carry a tag that
/// every change counts up, so that a swap fails when a node has gone and come back in between.
final class TreiberStack {
  let variables = Variables("head", "node 1", "node 2", "node 3")
  let isTagged: Bool
  let history = History<StackModel.Operation>()
  /// What each thread holds.
  var held: [[Int]] = [[], [], [], []]

  private var head: Variable { variables[0] }

  init(isTagged: Bool, nodes: Int = 0) {
    self.isTagged = isTagged
    for node in stride(from: nodes, to: 0, by: -1) { push(node) }
  }

  func push(_ node: Int) {
    history.record {
      while true {
        let found = Explored.loadPair(head.address, .relaxed)
        variables[node].store(found.first, .relaxed)
        let desired = (first: UInt(node), second: isTagged ? found.second + 1 : 0)
        if Explored.compareExchangePair(head.address, expected: found, desired: desired, .releasing) == found { return }
      }
    } as: { .push(node) }
  }

  /// 0 when there is none.
  func pop() -> Int {
    history.record {
      while true {
        let found = Explored.loadPair(head.address, .acquiring)
        if found.first == 0 { return 0 }
        let next = variables[Int(found.first)].load(.relaxed)
        let desired = (first: next, second: isTagged ? found.second + 1 : 0)
        if Explored.compareExchangePair(head.address, expected: found, desired: desired, .relaxed) == found { return Int(found.first) }
      }
    } as: { .pop($0) }
  }

  func take() { held[Explored.thread].append(pop()) }

  func giveBack() {
    let node = held[Explored.thread].removeFirst()
    if node != 0 { push(node) }
  }

  /// No node is in two hands, or in a hand and on the stack.
  func checkOwners() throws {
    var owned = held.joined().filter { $0 != 0 }
    var node = head.address.load(as: UInt.self)
    while node != 0, owned.count < 8 {
      owned.append(Int(node))
      node = variables[Int(node)].load(.relaxed)
    }
    try require(Set(owned).count == owned.count, "nodes are owned twice: \(owned)")
  }
}

enum StackModel: SequentialModel {
  enum Operation {
    case push(Int)
    case pop(Int)
  }

  static let initial: [Int] = []

  static func apply(_ operation: Operation, to state: inout [Int]) -> Bool {
    switch operation {
    case .push(let node): state.append(node)
    case .pop(let node): return state.popLast() ?? 0 == node
    }
    return true
  }
}
