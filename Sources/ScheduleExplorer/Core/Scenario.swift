/// What is explored: a few threads with a few actions each, on a state that is made anew for each execution.
///
/// ```swift
/// var scenario = Scenario("counter") { Counter() }
/// scenario.thread(Action("add") { counter in counter.add(1) })
/// scenario.thread(Action("add") { counter in counter.add(1) })
/// scenario.check = { counter in try require(counter.value == 2, "an addition was lost") }
/// print(Explorer.explore(scenario))
/// ```
///
/// Actions must be deterministic: the choices of an execution are all that two runs of it may differ by. What they share
/// they reach through `Explored`; notes that they take in plain Swift must not depend on how the steps of several threads
/// interleave, or executions are left out that seem the same.
public struct Scenario<State> {
  /// For reports.
  public var name: String
  /// A sentence on what it is about.
  public var about = ""
  /// Makes the state that an execution begins with. Its steps are no choices.
  public var setUp: () throws -> State
  /// The actions of each thread, one after the other.
  public internal(set) var threads: [[Action<State>]] = []
  /// Looks at the state when all threads have ended; throws for an outcome that must not be.
  public var check: (State) throws -> Void = { _ in }
  /// Gives back what the set-up made; called in any case.
  public var tearDown: (State) -> Void = { _ in }
  /// Whether equivalent executions may be left out: not where a thread ends the others.
  public var reduces = true
  /// Whether a counterexample may be sought in fewer actions: not where the check counts on all of them.
  public var shrinks = true

  /// A scenario without threads.
  public init(_ name: String, about: String = "", setUp: @escaping () throws -> State) {
    self.name = name
    self.about = about
    self.setUp = setUp
  }

  /// Adds a thread, at most seven: more are a programming error when the scenario is explored.
  public mutating func thread(_ actions: Action<State>...) { threads.append(actions) }

  /// Adds a thread.
  public mutating func thread(_ actions: [Action<State>]) { threads.append(actions) }

  /// The same with some of the actions only, numbered from 0 in each thread: what the schedule of a counterexample is for.
  public func keeping(_ kept: [[Int]]) -> Scenario {
    var scenario = self
    scenario.threads = zip(threads, kept).map { thread, kept in kept.map { thread[$0] } }
    return scenario
  }

  var all: [[Int]] { threads.map { Array($0.indices) } }

  var sizeText: String { threads.map { "[" + $0.map(\.name).joined(separator: ", ") + "]" }.joined(separator: " ∥ ") }
}

/// One thing that a thread does; it throws when what it finds must not be.
public struct Action<State> {
  /// For counterexamples.
  public let name: String
  /// What it does; a thread that ends an action goes on with the next at once.
  public let body: (State) throws -> Void

  public init(_ name: String, _ body: @escaping (State) throws -> Void) {
    self.name = name
    self.body = body
  }
}
