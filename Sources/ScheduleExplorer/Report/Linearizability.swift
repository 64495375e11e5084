/// What a set of operations may answer when they are done one after the other.
public protocol SequentialModel {
  /// Small, and quick to hash.
  associatedtype State: Hashable
  /// An operation with what it answered.
  associatedtype Operation

  /// Before the first operation.
  static var initial: State { get }
  /// Does the operation; false when it can't answer that in this state.
  static func apply(_ operation: Operation, to state: inout State) -> Bool
}

/// The operations of an execution, and which of them had ended before which began.
///
/// Before means happens-before: what ended later than another began, or out of its sight, is not ordered with it. So it is
/// the same in all executions that differ in the order of independent steps only, and a load that returns a store other
/// than the latest is no fault of the code that was explored. That a thread knows of what another has done must show in
/// the program: by what it acquired, or by the order of its own operations.
///
/// Made in a scenario's set-up, and used by its actions.
public final class History<Operation> {
  private struct Entry {
    var operation: Operation
    var thread: Int
    /// The thread's own clock when it ended.
    var ended: UInt32
    /// The entries that had ended before, a bit each.
    var earlier: UInt64
  }

  private var entries: [Entry] = []

  public init() {}

  /// Does an operation and writes down what it was and answered.
  public func record<Answer>(_ body: () throws -> Answer, as operation: (Answer) -> Operation) rethrows -> Answer {
    let earlier = known()
    let answer = try body()
    let (thread, clock) = now
    entries.append(Entry(operation: operation(answer), thread: thread, ended: clock[thread], earlier: earlier))
    return answer
  }

  /// Writes down an operation that began when those of the numbers `earlier` had ended. Answers its number, from 0.
  @discardableResult
  public func add(_ operation: Operation, after earlier: [Int] = []) -> Int {
    let mask = earlier.reduce(into: UInt64(0)) { $0 |= 1 << UInt64($1) }
    entries.append(Entry(operation: operation, thread: 0, ended: 0, earlier: mask))
    return entries.count - 1
  }

  private var now: (thread: Int, clock: Clock) {
    let engine = Explored.engine
    return (engine.current, engine.threads[engine.current].clock)
  }

  private func known() -> UInt64 {
    let (_, clock) = now
    var mask: UInt64 = 0
    for (index, entry) in entries.enumerated() where clock[entry.thread] >= entry.ended { mask |= 1 << UInt64(index) }
    return mask
  }

  /// Whether there is an order of the operations, in which each comes after those that ended before it began, that the
  /// model allows (Herlihy and Wing 1990; the search is that of Wing and Gong 1993 with the memory of Lowe 2017).
  /// Exponential in the number of operations that overlap; at most 64 operations.
  public func isLinearizable<Model: SequentialModel>(_: Model.Type) -> Bool where Model.Operation == Operation {
    precondition(entries.count <= 64, "a history of at most 64 operations")
    var visited: Set<Configuration<Model.State>> = []
    return search(Model.self, 0, Model.initial, &visited)
  }

  /// Throws a violation that lists the operations unless they are linearizable. For a scenario's check.
  public func requireLinearizable<Model: SequentialModel>(_ model: Model.Type) throws where Model.Operation == Operation {
    try require(isLinearizable(model), "not linearizable: \(description)")
  }

  private var description: String {
    entries.enumerated().map { index, entry in
      let earlier = entries.indices.filter { entry.earlier & (1 << UInt64($0)) != 0 }.map(String.init).joined(separator: " ")
      return "\(index): \(entry.operation)" + (earlier.isEmpty ? "" : " after \(earlier)")
    }.joined(separator: ", ")
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
    for (index, entry) in entries.enumerated() where done & (1 << UInt64(index)) == 0 && entry.earlier & ~done == 0 {
      var next = state
      if Model.apply(entry.operation, to: &next), search(model, done | 1 << UInt64(index), next, &visited) { return true }
    }
    return false
  }
}
