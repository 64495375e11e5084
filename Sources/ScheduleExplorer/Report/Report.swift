/// What came of an exploration.
public struct Report: Sendable, CustomStringConvertible {
  /// Of the scenario.
  public let name: String
  /// Executions that were run to their end and checked.
  public internal(set) var executions = 0
  /// Executions that were cut short because they repeat others in another order.
  public internal(set) var redundant = 0
  /// Executions that were none, since a load returned a store that did not come.
  public internal(set) var unfounded = 0
  /// Steps of all executions.
  public internal(set) var steps = 0
  /// Steps of the longest.
  public internal(set) var longest = 0
  /// Whether everything that the plan asks for was run.
  public internal(set) var isComplete = false
  /// Limits that were met; the search is not complete then.
  public internal(set) var limits: [String] = []
  /// What failed; nil when nothing did.
  public internal(set) var counterexample: Counterexample?
  /// Whether a schedule that was replayed asked for what could not be chosen: it belongs to another scenario.
  public internal(set) var isAstray = false

  init(name: String) { self.name = name }

  mutating func count(steps: Int) {
    executions += 1
    self.steps += steps
    longest = max(longest, steps)
  }

  public var description: String {
    var line = "\(name): \(executions) executions, longest \(longest) steps"
    if redundant > 0 { line += ", \(redundant) cut short as redundant" }
    if unfounded > 0 { line += ", \(unfounded) without the store that a load returned" }
    if isAstray { line += ", NOT AS THE SCHEDULE HAS IT" }
    if !limits.isEmpty { line += ", stopped at the limit of \(limits.joined(separator: " and "))" }
    guard let counterexample else { return line + (isComplete ? ", no failure" : ", no failure so far") }
    return line + "\n" + counterexample.description
  }
}

/// An execution that fails, made as small as could be.
public struct Counterexample: Sendable, CustomStringConvertible {
  /// What fails when it is replayed.
  public let failure: Failure
  /// The threads with the actions that are left.
  public let scenario: String
  /// For each thread the numbers of the actions that are left, for `Scenario.keeping`.
  public let kept: [[Int]]
  /// Whether all are.
  public let isWhole: Bool
  /// Its choices, for `Plan.Search.replay` of the actions that are kept.
  public let schedule: Schedule
  /// Turns to another thread although the running one could have gone on.
  public let preemptions: Int
  /// Steps that were taken when it failed.
  public let steps: Int
  /// A column a thread, a row a step.
  public let table: String
  /// Whether the execution failed again when it was replayed for the table.
  public let isReproduced: Bool

  /// What is left of each thread, as in `0,2/1`; nil where nothing was left out.
  public var keptText: String? {
    isWhole ? nil : kept.map { $0.map(String.init).joined(separator: ",") }.joined(separator: "/")
  }

  /// Reads what `keptText` wrote; nil for anything else.
  public static func kept(_ text: String) -> [[Int]]? {
    var kept: [[Int]] = []
    for thread in text.split(separator: "/", omittingEmptySubsequences: false) {
      let numbers = thread.split(separator: ",").map { Int($0) }
      guard numbers.allSatisfy({ $0 != nil }) else { return nil }
      kept.append(numbers.compactMap { $0 })
    }
    return kept
  }

  public var description: String {
    """
    \(failure)
    \(scenario), \(preemptions) preemptions, \(steps) steps\(isReproduced ? "" : " (NOT REPRODUCED: an action is not deterministic)")

    \(table)

    schedule: \(schedule)
    """
  }
}
