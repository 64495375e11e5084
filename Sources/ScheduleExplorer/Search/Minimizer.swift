/// Looks for the smallest scenario, and in it the execution with the fewest preemptions and then steps, that still fails
/// in the same way.
struct Minimizer<State> {
  private let scenario: Scenario<State>
  private let plan: Plan
  /// Executions spent on each attempt.
  private let effort = 20_000

  init(_ scenario: Scenario<State>, _ plan: Plan) {
    self.scenario = scenario
    self.plan = plan
  }

  func minimize(_ found: Found) -> Counterexample {
    let (kept, witness) = scenario.shrinks ? shrink(found) : (scenario.all, found)
    return show(kept, shortest(scenario.keeping(kept), witness))
  }

  // MARK: The scenario

  // Leaves out one action after the other, as long as what is left fails.
  private func shrink(_ found: Found) -> (kept: [[Int]], found: Found) {
    var best = (kept: scenario.all, found: found)
    var changed = true
    while changed {
      changed = false
      for thread in best.kept.indices.reversed() {
        for action in best.kept[thread].reversed() {
          var kept = best.kept
          kept[thread].removeAll { $0 == action }
          guard let failing = fails(scenario.keeping(kept), found) else { continue }
          best = (kept, failing)
          changed = true
        }
      }
    }
    return best
  }

  private func fails(_ smaller: Scenario<State>, _ found: Found) -> Found? {
    for bound in 0...max(found.preemptions, 2) {
      if let failing = first(smaller, found.failure.kind, bound) { return isFair(smaller, found.failure) ? failing : nil }
    }
    return nil
  }

  // Who waits for an action that was left out waits for ever, which says nothing: what is left must be able to end, if all
  // of it was.
  private func isFair(_ smaller: Scenario<State>, _ failure: Failure) -> Bool {
    switch failure.kind {
    case .deadlock, .livelock, .lostWakeUp: canEnd(smaller) || !canEnd(scenario)
    default: true
    }
  }

  private func canEnd(_ scenario: Scenario<State>) -> Bool {
    var plan = plan
    plan.search = .random(seed: 1, executions: 200)
    var failures = 0
    var search = Search(scenario, plan)
    search.run { _ in
      failures += 1
      return true
    }
    return search.report.executions > failures
  }

  private func first(_ scenario: Scenario<State>, _ kind: Failure.Kind, _ bound: Int) -> Found? {
    var match: Found?
    var search = Search(scenario, bounded(bound))
    search.run { found in
      if found.failure.kind == kind { match = found }
      return match == nil
    }
    return match
  }

  private func bounded(_ bound: Int) -> Plan {
    var plan = plan
    plan.search = .exhaustive(preemptions: bound)
    plan.executionLimit = effort
    return plan
  }

  // MARK: The execution

  private func shortest(_ scenario: Scenario<State>, _ found: Found) -> Found {
    for bound in 0...max(found.preemptions, 3) {
      guard first(scenario, found.failure.kind, bound) != nil else { continue }
      return shortest(scenario, found.failure.kind, bound) ?? found
    }
    return found
  }

  private func shortest(_ scenario: Scenario<State>, _ kind: Failure.Kind, _ bound: Int) -> Found? {
    var best: Found?
    var plan = bounded(bound)
    // Equivalent executions may differ in where they are cut off.
    plan.reduces = false
    var search = Search(scenario, plan)
    search.run { found in
      if found.failure.kind == kind, found.steps < best?.steps ?? .max { best = found }
      return true
    }
    return best
  }

  // MARK: Show

  /// Replays an execution of the actions that are left, and writes it down.
  func show(_ kept: [[Int]], _ found: Found) -> Counterexample {
    let scenario = scenario.keeping(kept)
    let engine = Engine(plan, Replay(found.schedule))
    let recorder = Recorder()
    engine.recorder = recorder
    let failure = Search.execute(scenario, engine)
    return Counterexample(
      failure: failure ?? found.failure, scenario: scenario.sizeText, kept: kept, isWhole: kept == self.scenario.all, schedule: found.schedule,
      preemptions: found.preemptions, steps: found.steps, table: Table(recorder.rows, threads: scenario.threads.count).text,
      isReproduced: failure?.kind == found.failure.kind)
  }
}
