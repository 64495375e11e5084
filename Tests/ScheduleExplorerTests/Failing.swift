import Testing

@testable import ScheduleExplorer

/// The counterexample of a scenario, and the fewest preemptions and then steps with which any of its executions fails in
/// that way: found by running every one of them, nothing left out.
func counterexample<State>(
  _ scenario: Scenario<State>, memory: MemoryModel = .releaseAcquire, stepLimit: Int = 20_000
) throws -> (found: Counterexample, preemptions: Int, steps: Int) {
  var plan = Plan(.exhaustive(preemptions: 3))
  plan.memory = memory
  plan.stepLimit = stepLimit
  let found = try #require(Explorer.explore(scenario, plan).counterexample)
  #expect(found.isReproduced)

  plan.search = .exhaustive(preemptions: nil)
  plan.reduces = false
  var least = (preemptions: Int.max, steps: Int.max)
  var search = Search(scenario, plan)
  search.run { execution in
    let these = (execution.preemptions, execution.steps)
    if execution.failure.kind == found.failure.kind, these < least { least = these }
    return true
  }
  #expect(search.report.isComplete)
  return (found, least.preemptions, least.steps)
}

/// Expects a scenario to fail in a way, with the shortest counterexample that there is.
func expectFailure<State>(
  _ scenario: Scenario<State>, _ kind: Failure.Kind, preemptions: Int, steps: Int, memory: MemoryModel = .releaseAcquire,
  stepLimit: Int = 20_000, sourceLocation: SourceLocation = #_sourceLocation
) throws {
  let (found, fewest, shortest) = try counterexample(scenario, memory: memory, stepLimit: stepLimit)
  #expect(found.failure.kind == kind, "\(found)", sourceLocation: sourceLocation)
  #expect(found.preemptions == preemptions && found.steps == steps, "\(found)", sourceLocation: sourceLocation)
  // What the minimizer leaves out of a scenario can only make it shorter.
  #expect(fewest == preemptions && shortest >= steps, "\(fewest), \(shortest)", sourceLocation: sourceLocation)
  if found.kept == scenario.all { #expect(shortest == steps, sourceLocation: sourceLocation) }
}
