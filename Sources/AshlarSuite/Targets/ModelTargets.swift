import Ashlar
import ScheduleExplorer

// Shipped lock-free code under schedules that are taken from the input.
extension FuzzTarget {
  private static let choices = Grammar.Parameter.number(below: 256)

  /// The threads' choices, each a step of its own: what a fuzzer finds worth keeping, it can move and repeat.
  private static func plan(_ choices: [UInt8]) -> Plan {
    var plan = Plan(.bytes(choices))
    // The input is the counterexample; the fuzzer makes it smaller.
    plan.minimizes = false
    return plan
  }

  // One program at a time.
  private nonisolated(unsafe) static let workbench = Workbench()

  static let schedules = FuzzTarget(
    "schedules", "the model that is named first, its threads scheduled by the choices that follow",
    Grammar([Grammar.Verb("model", .word(Model.all.map(\.name))), Grammar.Verb("choose", choices)], weights: ["choose": 63])
  ) { program, tell in
    var model = Model.all[0]
    var chosen: [UInt8] = []
    for (number, step) in program.enumerated() {
      tell(number)
      if step.verb == 0 { model = Model.all[step[0]] } else { chosen.append(UInt8(step[0])) }
    }
    return model.explore(plan(chosen), on: workbench).counterexample.map { "\(model.name): \($0)" }
  }
}

// MARK: Programs of threads

extension FuzzTarget {
  private enum Act: Int, CaseIterable {
    case hold, allocate, free, trim, exit, choose

    static let sizes = [16, 1024, 128 << 10, 1 << 20, 2 << 20, 513 << 20]

    var verb: Grammar.Verb {
      let thread = Grammar.Parameter.number("thread", below: Self.threads)
      return switch self {
      case .hold: Grammar.Verb("hold", thread, .number("from", below: Self.threads), .word(Self.sizes.map(String.init)))
      case .allocate: Grammar.Verb("allocate", thread, .word(Self.sizes.map(String.init)))
      case .free: Grammar.Verb("free", thread)
      case .trim: Grammar.Verb("trim", thread)
      case .exit: Grammar.Verb("exit", thread)
      case .choose: Grammar.Verb("choose", choices)
      }
    }

    static let threads = 3
  }

  /// Longer ones say no more, and take longer.
  private static let actionLimit = 3

  static let threads = FuzzTarget(
    "threads", "a program of three threads on a whole heap, scheduled by the choices in it",
    Grammar(Act.allCases.map(\.verb), weights: ["hold": 2, "allocate": 4, "free": 4, "choose": 20])
  ) { program, tell in
    var (held, actions) = ([Step](), [[Action<HeapState>]](repeating: [], count: Act.threads))
    var chosen: [UInt8] = []
    for (number, step) in program.enumerated() {
      tell(number)
      switch Act(rawValue: step.verb)! {
      case .choose: chosen.append(UInt8(step[0]))
      case .hold: if held.count < 2 * actionLimit { held.append(step) }
      case .exit where actions[step[0]].contains { $0.name == "exit" }: break
      // It looks at every class, which takes as long as all the rest.
      case .trim where actions[step[0]].contains { $0.name == "trim" }: break
      default: if actions[step[0]].count < actionLimit { actions[step[0]].append(action(step)) }
      }
    }
    // A cache is laid out for each thread, which takes longer than anything else: no more than are needed.
    let used = held.flatMap { [$0[0], $0[1]] } + actions.indices.filter { !actions[$0].isEmpty }
    let threads = (used.max() ?? 0) + 1
    var scenario = Scenario("threads") { try begin(held, threads) }
    for actions in actions.prefix(threads) { scenario.thread(actions) }
    let wanted = scenario.checking { try $0.requireSound() }
    var report: Report?
    let faults = FaultRecorder.record { report = Explorer.explore(wanted, plan(chosen), on: workbench) }
    return report?.counterexample.map { "\($0)" } ?? faults.first.map { "reported \($0)" }
  }

  private static func begin(_ held: [Step], _ threads: Int) throws -> HeapState {
    let state = HeapState(threads: threads)
    for step in held {
      let (owner, maker) = (step[0] + 1, step[1] + 1)
      try state.acting(as: maker) { try state.take(maker, Act.sizes[step[2]]) }
      guard let block = state.blocks[maker].popLast() else { continue }
      PlainPointer<SteppingMemory, UInt>(block)[0] = UInt(owner)
      state.blocks[owner].append(block)
    }
    return state
  }

  private static func action(_ step: Step) -> Action<HeapState> {
    let thread = step[0] + 1
    return switch Act(rawValue: step.verb)! {
    case .allocate: .take(thread, Act.sizes[step[1]])
    case .free: .giveBack(thread)
    case .trim: Action("trim") { state in
        state.enter()
        state.heap.trim()
      }
    default: .leave
    }
  }
}
