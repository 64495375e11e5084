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
  private var operations: [Operation] = []
  /// When each was done. Apart from them, so that what looks at nothing else is no generic code.
  private var spans: [OperationSpan] = []

  public init() {}

  /// Does an operation and writes down what it was and answered.
  public func record<Answer>(_ body: () throws -> Answer, as operation: (Answer) -> Operation) rethrows -> Answer {
    let earlier = known()
    let answer = try body()
    let (thread, clock) = now
    operations.append(operation(answer))
    spans.append(OperationSpan(thread: thread, ended: clock[thread], earlier: earlier))
    return answer
  }

  /// Writes down an operation that began when those of the numbers `earlier` had ended. Answers its number, from 0.
  @discardableResult
  public func add(_ operation: Operation, after earlier: [Int] = []) -> Int {
    let mask = earlier.reduce(into: UInt64(0)) { $0 |= 1 << UInt64($1) }
    operations.append(operation)
    spans.append(OperationSpan(thread: 0, ended: 0, earlier: mask))
    return spans.count - 1
  }

  private var now: (thread: Int, clock: Clock) {
    let engine = Explored.engine
    return (engine.current, engine.threads[engine.current].clock)
  }

  private func known() -> UInt64 { spans.known(to: now.clock) }

  /// Whether there is an order of the operations, in which each comes after those that ended before it began, that the
  /// model allows (Herlihy and Wing 1990; the search is that of Wing and Gong 1993 with the memory of Lowe 2017).
  /// Exponential in the number of operations that overlap; at most 64 operations.
  public func isLinearizable<Model: SequentialModel>(_: Model.Type) -> Bool where Model.Operation == Operation {
    precondition(spans.count <= 64, "a history of at most 64 operations")
    var failed: Set<Configuration<Model.State>> = []
    return search(Model.self, 0, Model.initial, &failed)
  }

  /// Throws a violation that lists the operations unless they are linearizable. For a scenario's check.
  public func requireLinearizable<Model: SequentialModel>(_ model: Model.Type) throws where Model.Operation == Operation {
    try require(isLinearizable(model), "not linearizable: \(description)")
  }

  private var description: String {
    spans.indices.map { index in
      let earlier = spans.indices.filter { spans[index].earlier & (1 << UInt64($0)) != 0 }.map(String.init).joined(separator: " ")
      return "\(index): \(operations[index])" + (earlier.isEmpty ? "" : " after \(earlier)")
    }.joined(separator: ", ")
  }

  private struct Configuration<State: Hashable>: Hashable {
    var done: UInt64
    var state: State
  }

  private func search<Model: SequentialModel>(
    _ model: Model.Type, _ done: UInt64, _ state: Model.State, _ failed: inout Set<Configuration<Model.State>>
  ) -> Bool where Model.Operation == Operation {
    if done.nonzeroBitCount == spans.count { return true }
    // Most histories are found sound without a step back, and nothing is hashed.
    if !failed.isEmpty, failed.contains(Configuration(done: done, state: state)) { return false }
    var open = spans.mayFollow(done)
    while open != 0 {
      let index = open.trailingZeroBitCount
      open &= open - 1
      var next = state
      if Model.apply(operations[index], to: &next), search(model, done | 1 << UInt64(index), next, &failed) { return true }
    }
    failed.insert(Configuration(done: done, state: state))
    return false
  }
}

private struct OperationSpan {
  var thread: Int
  /// The thread's own clock when it ended.
  var ended: UInt32
  /// The operations that had ended before it began, a bit each.
  var earlier: UInt64
}

extension [OperationSpan] {
  /// Those that have ended for whoever has this clock, a bit each.
  fileprivate func known(to clock: Clock) -> UInt64 { mask { clock[$0.thread] >= $0.ended } }

  /// Those that may come next when others are done.
  fileprivate func mayFollow(_ done: UInt64) -> UInt64 { mask { $0.earlier & ~done == 0 } & ~done }

  private func mask(_ isIn: (OperationSpan) -> Bool) -> UInt64 {
    var mask: UInt64 = 0
    for index in indices where isIn(self[index]) { mask |= 1 << UInt64(index) }
    return mask
  }
}
