import ScheduleExplorer

/// A small program on the shipped code, to be run under every interleaving.
public struct Model: Sendable {
  /// How it is named on the command line.
  public let name: String
  /// What it is about, in a line.
  public let about: String
  public let threads: Int
  private let body: @Sendable (Plan, [[Int]]?, Workbench?, Survey?, ((Int) -> Void)?) -> Report

  /// Preemptions up to which it is explored exhaustively: 3 with two threads and 2 with more, unless it says otherwise.
  public let bound: Int
  /// Release and acquire, as RC11 has them, unless it says otherwise.
  public let memory: MemoryModel

  init<State>(
    _ name: String, _ about: String, threads: Int, bound: Int? = nil, memory: MemoryModel = .releaseAcquire,
    _ make: @escaping @Sendable () -> Scenario<State>
  ) {
    self.name = name
    self.memory = memory
    self.bound = bound ?? (threads <= 2 ? 3 : 2)
    self.about = about
    self.threads = threads
    body = { plan, kept, workbench, survey, progress in
      var scenario = make()
      scenario.name = name
      if let kept { scenario = scenario.keeping(kept) }
      return Explorer.explore(scenario, plan, on: workbench, survey: survey, progress: progress)
    }
  }

  /// Explores it.
  ///
  /// - Parameter kept: the actions of each thread that are not left out, by number; nil for all.
  public func explore(
    _ plan: Plan, kept: [[Int]]? = nil, on workbench: Workbench? = nil, survey: Survey? = nil, progress: ((Int) -> Void)? = nil
  ) -> Report {
    // Some models free what must not be freed; the handler of faults is the process's.
    var report: Report?
    _ = FaultRecorder.record { report = body(plan, kept, workbench, survey, progress) }
    return report!
  }
}

extension Scenario {
  init(_ model: String, _ setUp: @escaping () throws -> State) { self.init(model, setUp: setUp) }

  /// The same scenario with another thread.
  func with(_ actions: Action<State>...) -> Scenario {
    var scenario = self
    scenario.thread(actions)
    return scenario
  }

  /// - Parameter shrinks: whether the check holds for fewer actions too.
  func checking(shrinks: Bool = true, _ check: @escaping (State) throws -> Void) -> Scenario {
    var scenario = self
    scenario.check = check
    scenario.shrinks = scenario.shrinks && shrinks
    return scenario
  }
}

extension Plan {
  /// Executions of a model in the short form.
  public static var shortExecutions: Int { 600 }

  /// What a model is explored with: up to its bound of preemptions, unless told otherwise.
  public static func full(for model: Model, _ search: Search? = nil) -> Plan {
    var plan = Plan(search ?? .exhaustive(preemptions: model.bound))
    plan.memory = model.memory
    return plan
  }

  /// The model's bound, stopped after `shortExecutions`.
  public static func short(for model: Model) -> Plan {
    var plan = full(for: model)
    plan.executionLimit = shortExecutions
    return plan
  }
}
