@testable import ScheduleExplorer

/// A few threads with a few actions each on two variables and two locks, by lot.
struct RandomProgram: Sendable, CustomStringConvertible {
  enum Step: Sendable {
    case load(Int, Order), store(Int, UInt, Order), add(Int, Order), swap(Int, UInt, UInt, Order), fence(Order)
    case lock(Int), tryLock(Int), unlock(Int)
    case spin(Int, Order), sleep(Int), wake(Int), yield
  }

  /// What steps it may have.
  struct Kinds: OptionSet {
    let rawValue: Int
    static let sequential = Kinds(rawValue: 1), locks = Kinds(rawValue: 2), spins = Kinds(rawValue: 4), sleeps = Kinds(rawValue: 8)
    static let fences = Kinds(rawValue: 16)
  }

  let threads: [[Step]]

  init(_ threads: [Step]...) { self.threads = threads }

  init(_ random: inout SplitMix, _ kinds: Kinds) {
    let count = 2 + random.below(2)
    threads = (0..<count).map { _ in Self.thread(2 + random.below(count == 2 ? 3 : 2), &random, kinds) }
  }

  private static func thread(_ length: Int, _ random: inout SplitMix, _ kinds: Kinds) -> [Step] {
    var steps = (0..<length).map { _ in step(&random, kinds) }
    guard kinds.contains(.locks), random.below(3) > 0 else { return steps }
    let lock = random.below(2)
    let begin = random.below(steps.count)
    steps.insert(.unlock(lock), at: begin + 1 + random.below(steps.count - begin))
    steps.insert(random.below(4) == 0 ? .tryLock(lock) : .lock(lock), at: begin)
    guard random.below(2) == 0 else { return steps }
    steps.insert(.lock(1 - lock), at: begin + random.below(2))
    steps.insert(.unlock(1 - lock), at: steps.count - random.below(2))
    return steps
  }

  private static func step(_ random: inout SplitMix, _ kinds: Kinds) -> Step {
    let cell = random.below(2)
    let isSequential = kinds.contains(.sequential) && random.below(2) == 0
    let loads: Order = isSequential ? .sequential : random.below(2) == 0 ? .relaxed : .acquiring
    let stores: Order = isSequential ? .sequential : random.below(2) == 0 ? .relaxed : .releasing
    let both: Order = isSequential ? .sequential : random.below(2) == 0 ? .relaxed : .acquiringAndReleasing
    switch random.below(16) {
    case 0 where kinds.contains(.spins), 1 where kinds.contains(.spins): return .spin(cell, loads)
    case 2 where kinds.contains(.spins): return .yield
    case 0 where kinds.contains(.sleeps), 1 where kinds.contains(.sleeps): return .sleep(cell)
    case 2 where kinds.contains(.sleeps), 3 where kinds.contains(.sleeps): return .wake(cell)
    case 4 where kinds.contains(.fences), 5 where kinds.contains(.fences):
      return .fence([.acquiring, .releasing, .sequential, .sequential][random.below(4)])
    case 6, 7: return .add(cell, both)
    case 8: return .swap(cell, UInt(random.below(3)), UInt(1 + random.below(3)), both)
    case 9..<13: return .load(cell, loads)
    default: return .store(cell, UInt(random.below(4)), stores)
    }
  }

  var description: String {
    threads.map { "\($0)".replacing("ScheduleExplorer.Order.", with: "").replacing(/\w+\.RandomProgram\.Step\./, with: "") }
      .joined(separator: "\n")
  }

  /// What its threads touch, and what they found.
  final class State {
    let variables = Variables("x", "y", "m", "n")
    var found: [[UInt]]

    init(threads: Int) { found = Array(repeating: [], count: threads) }

    /// `holds`: which of the locks.
    func run(_ step: Step, _ thread: Int, holds: inout [Bool]) {
      switch step {
      case .load(let cell, let order):
        let value = variables[cell].load(order)
        found[thread].append(value)
      case .store(let cell, let value, let order): variables[cell].store(value, order)
      case .add(let cell, let order):
        let value = variables[cell].add(1, order)
        found[thread].append(value)
      case .swap(let cell, let expected, let desired, let order):
        let value = Explored.compareExchange(variables[cell].address, expected: expected, desired: desired, order)
        found[thread].append(value)
      case .fence(let order): Explored.fence(order)
      case .lock(let lock):
        variables[2 + lock].lock()
        holds[lock] = true
      case .tryLock(let lock):
        let took = variables[2 + lock].tryLock()
        holds[lock] = took
        found[thread].append(took ? 1 : 0)
      case .unlock(let lock):
        if holds[lock] { variables[2 + lock].unlock() }
        holds[lock] = false
      case .spin(let cell, let order):
        while variables[cell].load(order) == 0 { Explored.pause() }
      case .sleep(let cell):
        while variables[cell].load(.acquiring) == 0 { variables[cell].wait(while: 0) }
      case .wake(let cell): variables[cell].wake()
      case .yield: Explored.pause()
      }
    }
  }

  /// Every outcome: what each thread found, the last value of each variable, and how it failed if it did. Nil where there
  /// are too many executions.
  func outcomes(_ memory: MemoryModel, bound: Int?, reduces: Bool, limit: Int = .max) -> Set<String>? {
    var outcomes: Set<String> = []
    var made: State?
    var scenario = Scenario("program") {
      let state = State(threads: threads.count)
      made = state
      return state
    }
    for (index, steps) in threads.enumerated() {
      scenario.thread(
        Action("thread") { state in
          var holds = [false, false]
          for step in steps { state.run(step, index, holds: &holds) }
        })
    }
    scenario.check = { state in
      outcomes.insert("\(state.found) \(state.variables[0].load(.relaxed)) \(state.variables[1].load(.relaxed))")
    }
    var plan = Plan(.exhaustive(preemptions: bound))
    plan.memory = memory
    plan.reduces = reduces
    plan.executionLimit = limit
    var search = Search(scenario, plan)
    search.run { found in
      outcomes.insert("\(made!.found) \(found.failure.kind)")
      return true
    }
    return search.report.limits.isEmpty ? outcomes : nil
  }
}
