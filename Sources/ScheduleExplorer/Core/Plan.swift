/// How a scenario is to be explored.
public struct Plan: Sendable {
  /// Ways to go through the executions.
  public enum Search: Sendable {
    /// Every execution with at most so many preemptions; nil for every execution there is.
    case exhaustive(preemptions: Int?)
    /// So many executions, each choice by lot. A seed repeats them.
    case random(seed: UInt64, executions: Int)
    /// So many executions with random priorities that change `depth - 1` times: better than by lot where a failure takes a
    /// few turns at the right places of long executions.
    case priorities(seed: UInt64, executions: Int, depth: Int)
    /// One execution whose choices are bytes, as a fuzzer has them: a byte from 128 turns to another thread, a byte picks a
    /// store. Where they end nothing is turned to.
    case bytes([UInt8])
    /// One execution again, of the same scenario.
    case replay(Schedule)
  }

  /// Which executions are run.
  public var search: Search
  /// Which stores loads may return.
  public var memory = MemoryModel.releaseAcquire
  /// Leaves out executions that differ in the order of independent steps only. For `exhaustive`; no outcome is lost.
  public var reduces = true
  /// An execution with more steps is a failure: it may have no end. Steps of all threads.
  public var stepLimit = 20_000
  /// Executions at most, not counting redundant ones; when it is met the report says that the search is not complete.
  public var executionLimit = Int.max
  /// Seconds at most for the search, looked at every 64 executions; said in the report as well. Minimizing comes on top.
  public var secondsLimit = Double.infinity
  /// Looks for the shortest scenario and execution that fail: up to 20 000 executions for each action that is left out.
  public var minimizes = true
  /// Takes ordering away from the accesses of one line.
  public var weakening: Weakening?

  /// By default every execution with up to three preemptions.
  public init(_ search: Search = .exhaustive(preemptions: 3)) { self.search = search }
}
