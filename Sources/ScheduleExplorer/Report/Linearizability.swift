/// What a set of operations may answer when they are done one after the other.
public protocol SequentialModel {
  associatedtype State: Hashable
  /// An operation with what it answered.
  associatedtype Operation

  static var initial: State { get }
  /// Does the operation; false when it can't answer that in this state.
  static func apply(_ operation: Operation, to state: inout State) -> Bool
}

/// The operations of an execution, each with when it began and ended.
public final class History<Operation> {
  private struct Entry {
    var operation: Operation
    var began: Int
    var ended: Int
  }

  private var entries: [Entry] = []
  private var time = 0

  public init() {}

  /// Does an operation and writes down what it was and answered.
  public func record<Answer>(_ body: () throws -> Answer, as operation: (Answer) -> Operation) rethrows -> Answer {
    time += 1
    let began = time
    let answer = try body()
    time += 1
    entries.append(Entry(operation: operation(answer), began: began, ended: time))
    return answer
  }

  /// Whether there is an order of the operations, in which each comes before those that began after it had ended, that
  /// the model allows (Herlihy and Wing 1990; the search is that of Wing and Gong 1993 with the memory of Lowe 2017).
  /// Exponential in the number of operations that overlap; at most 64 operations.
  public func isLinearizable<Model: SequentialModel>(_: Model.Type) -> Bool where Model.Operation == Operation {
    precondition(entries.count <= 64, "a history of at most 64 operations")
    var visited: Set<Configuration<Model.State>> = []
    return search(Model.self, 0, Model.initial, &visited)
  }

  /// Throws a violation that lists the operations unless they are linearizable.
  public func requireLinearizable<Model: SequentialModel>(_ model: Model.Type) throws where Model.Operation == Operation {
    try require(isLinearizable(model), "not linearizable: " + entries.map { "\($0.operation) [\($0.began), \($0.ended)]" }.joined(separator: ", "))
  }

  private struct Configuration<State: Hashable>: Hashable {
    var done: UInt64
    var state: State
  }

  private func search<Model: SequentialModel>(
    _ model: Model.Type, _ done: UInt64, _ state: Model.State, _ visited: inout Set<Configuration<Model.State>>
  ) -> Bool where Model.Operation == Operation {
    if done.nonzeroBitCount == entries.count { return true }
    guard visited.insert(Configuration(done: done, state: state)).inserted else { return false }
    var firstEnd = Int.max
    for (index, entry) in entries.enumerated() where done & (1 << UInt64(index)) == 0 { firstEnd = min(firstEnd, entry.ended) }
    for (index, entry) in entries.enumerated() where done & (1 << UInt64(index)) == 0 && entry.began < firstEnd {
      var next = state
      if Model.apply(entry.operation, to: &next), search(model, done | 1 << UInt64(index), next, &visited) { return true }
    }
    return false
  }
}
