/// How a scenario is to be explored.
public struct Plan: Sendable {
  public enum Search: Sendable {
    /// Every execution with at most so many preemptions; nil for every execution there is.
    case exhaustive(preemptions: Int?)
    /// So many executions, each choice by lot.
    case random(seed: UInt64, executions: Int)
    /// So many executions with random priorities that change `depth - 1` times.
    case priorities(seed: UInt64, executions: Int, depth: Int)
    /// One execution whose choices are bytes, as a fuzzer has them.
    case bytes([UInt8])
    /// One execution again.
    case replay(Schedule)
  }

  public var search: Search
  public var memory = MemoryModel.releaseAcquire
  /// Leaves out executions that differ in the order of independent steps only.
  public var reduces = true
  /// An execution with more steps is a failure: it may have no end.
  public var stepLimit = 20_000
  /// Executions at most; when it is met the report says that the search is not complete.
  public var executionLimit = Int.max
  /// Seconds at most, looked at now and then.
  public var secondsLimit = Double.infinity
  /// Looks for the shortest scenario and execution that fail.
  public var minimizes = true
  public var weakening: Weakening?

  public init(_ search: Search = .exhaustive(preemptions: 3)) { self.search = search }
}
