/// Explores scenarios, on the calling thread of the system. Several may each explore their own.
public enum Explorer {
  /// Runs the executions of a plan until one fails or none is left.
  ///
  /// The time grows with the number of executions: exponential in the steps of the threads without a bound on preemptions,
  /// polynomial with one. Memory grows with the longest execution, and with what failed executions leave on their stacks.
  /// Nothing is thrown: what actions throw is a failure in the report.
  ///
  /// - Parameters:
  ///   - workbench: what short explorations share.
  ///   - survey: is told which lines took ordered steps.
  ///   - progress: is told the number of executions, every few thousand.
  public static func explore<State>(
    _ scenario: Scenario<State>, _ plan: Plan = Plan(), on workbench: Workbench? = nil, survey: Survey? = nil,
    progress: ((Int) -> Void)? = nil
  ) -> Report {
    var search = Search(scenario, plan)
    search.workbench = workbench
    search.progress = progress
    search.survey = survey
    search.run { _ in false }
    var report = search.report
    guard let found = search.found else { return report }
    let minimizer = Minimizer(scenario, plan)
    report.counterexample = plan.minimizes ? minimizer.minimize(found) : minimizer.show(scenario.all, found)
    return report
  }
}

/// An execution that failed.
struct Found {
  var failure: Failure
  var schedule: Schedule
  var preemptions: Int
  var steps: Int
}

/// One search through the executions of one scenario.
struct Search<State> {
  let scenario: Scenario<State>
  let plan: Plan
  var workbench: Workbench?
  var progress: ((Int) -> Void)?
  var survey: Survey?
  private(set) var report: Report
  /// The last execution that failed.
  private(set) var found: Found?

  init(_ scenario: Scenario<State>, _ plan: Plan) {
    self.scenario = scenario
    self.plan = plan
    report = Report(name: scenario.name)
  }

  /// Runs executions until one fails and `goesOn` answers false for it.
  mutating func run(_ goesOn: (Found) -> Bool) {
    let keeper = Keeper(makeChooser())
    let engine = workbench?.take(plan, keeper) ?? Engine(plan, keeper)
    defer { workbench?.putBack(engine) }
    engine.survey = survey
    let end = ContinuousClock.now + .seconds(min(plan.secondsLimit, 1e9))
    if plan.memory.readsFuture, isExhaustive {
      guard run(keeper, engine, end, goesOn) else { return }
      report.limits.removeAll()
      engine.gathered.isClosed = true
      keeper.inner = makeChooser()
    }
    if run(keeper, engine, end, goesOn) { report.isComplete = report.limits.isEmpty && (found == nil || isExhaustive) }
  }

  // False when it is not to go on.
  private mutating func run(_ keeper: Keeper, _ engine: Engine, _ end: ContinuousClock.Instant, _ goesOn: (Found) -> Bool) -> Bool {
    let chooser = keeper.inner
    let begin = report.executions
    defer { report.isAstray = (chooser as? Replay)?.isAstray == true }
    repeat {
      let failure = Self.execute(scenario, engine)
      let isCounted = !engine.isUnfounded && (chooser as? DepthFirst)?.isRedundant != true
      if isCounted { report.count(steps: engine.events) } else if engine.isUnfounded { report.unfounded += 1 } else { report.redundant += 1 }
      if let failure, !engine.isUnfounded {
        let found = Found(failure: failure, schedule: keeper.schedule, preemptions: keeper.preemptions, steps: engine.events)
        self.found = found
        if !goesOn(found) { return false }
      }
      if report.executions & 4095 == 0, isCounted { progress?(report.executions) }
      if (report.executions + report.redundant + report.unfounded) & 63 == 0, ContinuousClock.now > end {
        report.limits.append("\(plan.secondsLimit) s")
        return true
      }
      if report.executions - begin >= plan.executionLimit {
        report.limits.append("\(plan.executionLimit) executions")
        return true
      }
    } while goOn(chooser)
    return true
  }

  private var isExhaustive: Bool { if case .exhaustive = plan.search { true } else { false } }

  private func makeChooser() -> any Chooser {
    switch plan.search {
    case .exhaustive(let bound): DepthFirst(bound: bound, reduces: plan.reduces && scenario.reduces)
    case .random(let seed, _): RandomWalk(seed: seed)
    case .priorities(let seed, _, let depth): PriorityWalk(seed: seed, depth: depth)
    case .bytes(let bytes): ByteWalk(bytes)
    case .replay(let schedule): Replay(schedule)
    }
  }

  private func goOn(_ chooser: any Chooser) -> Bool {
    switch plan.search {
    case .exhaustive: (chooser as? DepthFirst)?.advance() ?? false
    case .random(_, let executions), .priorities(_, let executions, _): report.executions < executions
    case .bytes, .replay: false
    }
  }

  static func execute(_ scenario: Scenario<State>, _ engine: Engine) -> Failure? {
    var made: State?
    defer { if let made { scenario.tearDown(made) } }
    return engine.execute {
      let state = try scenario.setUp()
      made = state
      let bodies = scenario.threads.map { actions in
        { for action in actions {
            if let recorder = engine.recorder { recorder.note(engine.current, "▸ \(action.name)", .none) }
            try action.body(state)
          } }
      }
      return (bodies, { try scenario.check(state) })
    }
  }
}
