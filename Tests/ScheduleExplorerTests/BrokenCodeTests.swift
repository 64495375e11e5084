import Testing

@testable import ScheduleExplorer

/// Code that is known to be wrong is found to be, with the shortest counterexample that there is.
@Suite struct BrokenCodeTests {
  /// A few variables, and which of them to start with.
  private func scenario(_ name: String, _ threads: [Action<Variables>]..., check: @escaping (Variables) throws -> Void = { _ in })
    -> Scenario<Variables>
  {
    var scenario = Scenario(name) { Variables("x", "y", "z") }
    for thread in threads { scenario.thread(thread) }
    scenario.check = check
    return scenario
  }

  // MARK: Lock-free structures

  static var untaggedStack: Scenario<TreiberStack> {
    var scenario = Scenario("untagged stack") { TreiberStack(isTagged: false, nodes: 2) }
    scenario.thread(Action("take") { $0.take() })
    scenario.thread(Action("take") { $0.take() }, Action("take") { $0.take() }, Action("give back") { $0.giveBack() })
    scenario.check = { try $0.checkOwners() }
    return scenario
  }

  @Test func untaggedStack() throws {
    // A finds node 1 and the next of it, B takes both and gives node 1 back, A's swap makes node 2 the head: 2 + 3 + 3 + 3
    // + 1 steps. Or B goes first, and A's loads return what was there before.
    try expectFailure(Self.untaggedStack, .violation, preemptions: 0, steps: 12)
    try expectFailure(Self.untaggedStack, .violation, preemptions: 1, steps: 12, memory: .sequential)
  }

  @Test(arguments: [2, 3]) func untaggedStackIsFoundSoon(_ bound: Int) {
    var plan = Plan(.exhaustive(preemptions: bound))
    plan.minimizes = false
    let report = Explorer.explore(Self.untaggedStack, plan)
    #expect(report.counterexample != nil && report.executions <= 100, "\(report)")
  }

  @Test func useOfReleasedMemory() throws {
    final class Stack {
      let variables = Variables("head", "node")
      init() { variables[0].store(1, .relaxed) }
      func pop() {
        guard variables[0].load(.acquiring) == 1 else { return }
        let node = variables[1]
        let next = node.load(.relaxed)
        if variables[0].compareExchange(1, next, .acquiringAndReleasing) {
          Explored.release(UnsafeRawBufferPointer(start: node.address, count: 16)) {}
        }
      }
    }
    var scenario = Scenario("pop frees its node") { Stack() }
    for _ in 0..<2 { scenario.thread(Action("pop") { $0.pop() }) }
    // A has popped; B's load of the head returns the store before.
    try expectFailure(scenario, .useAfterRelease, preemptions: 0, steps: 5)
    try expectFailure(scenario, .useAfterRelease, preemptions: 1, steps: 5, memory: .sequential)
  }

  @Test func tornRead() throws {
    let torn = scenario(
      "two words, read one after the other",
      [Action("write") { $0[0].store(1, .relaxed); $0[1].store(1, .relaxed) }],
      [
        Action("read") { variables in
          let x = variables[0].load(.relaxed)
          let y = variables[1].load(.relaxed)
          try require(x == y, "read \(x) and \(y)")
        }
      ])
    try expectFailure(torn, .violation, preemptions: 0, steps: 4)
    try expectFailure(torn, .violation, preemptions: 1, steps: 3, memory: .sequential)
  }

  // MARK: Orders that are missing

  @Test(arguments: [(Order.relaxed, Order.acquiring), (.releasing, .relaxed)])
  func messagePassing(_ publish: Order, _ receive: Order) throws {
    let passing = scenario(
      "message passing", [Action("send") { $0[0].write(1); $0[1].store(1, publish) }],
      [Action("receive") { if $0[1].load(receive) == 1 { _ = $0[0].read() } }])
    try expectFailure(passing, .race, preemptions: 0, steps: 2)
  }

  @Test func doubleCheckedStart() throws {
    func start(_ variables: Variables) {
      guard variables[0].load(.relaxed) == 0 else { return }
      variables[1].lock()
      if variables[0].load(.relaxed) == 0 {
        variables[2].write(42)
        variables[0].store(1, .releasing)
      }
      variables[1].unlock()
    }
    let use = Action<Variables>("use") {
      start($0)
      _ = $0[2].read()
    }
    try expectFailure(scenario("double-checked start", [use], [use]), .race, preemptions: 0, steps: 6)
  }

  @Test func staleReadAfterADoubleCheckedStart() throws {
    let use = Action<Variables>("use") { variables in
      if variables[0].load(.relaxed) == 0 {
        variables[1].lock()
        if variables[0].load(.relaxed) == 0 {
          variables[2].store(42, .relaxed)
          variables[0].store(1, .releasing)
        }
        variables[1].unlock()
      }
      try require(variables[2].load(.relaxed) == 42, "used before it was started")
    }
    // A does it all: 7 steps. B finds it started, and then what was there before.
    try expectFailure(scenario("double-checked start", [use], [use]), .violation, preemptions: 0, steps: 9)
    #expect(Explorer.explore(scenario("double-checked start", [use], [use]), sequentialPlan).counterexample == nil)
  }

  private var sequentialPlan: Plan {
    var plan = Plan(.exhaustive(preemptions: nil))
    plan.memory = .sequential
    return plan
  }

  @Test func plainRace() throws {
    let race = scenario("race", [Action("write") { $0[0].write(1) }], [Action("write") { $0[0].write(2) }])
    try expectFailure(race, .race, preemptions: 0, steps: 0)
  }

  // MARK: Waiting

  @Test func lostWakeUp() throws {
    let waits = scenario(
      "checks, then sleeps", [Action("wait") { if $0[0].load(.acquiring) == 0 { $0[1].wait(while: 0) } }],
      [Action("wake") { $0[0].store(1, .releasing); $0[1].wake() }])
    try expectFailure(waits, .lostWakeUp, preemptions: 0, steps: 4)
    try expectFailure(waits, .lostWakeUp, preemptions: 1, steps: 4, memory: .sequential)
  }

  @Test func lockOrder() throws {
    func both(_ first: Int, _ second: Int) -> Action<Variables> {
      Action("locks \(first), \(second)") { variables in
        variables[first].lock()
        variables[second].lock()
        variables[second].unlock()
        variables[first].unlock()
      }
    }
    try expectFailure(scenario("lock order", [both(0, 1)], [both(1, 0)]), .deadlock, preemptions: 1, steps: 2)
  }

  @Test func livelock() throws {
    func wait(for index: Int, then other: Int) -> Action<Variables> {
      Action("waits") { variables in
        while variables[index].load(.acquiring) == 0 { Explored.pause() }
        variables[other].store(1, .releasing)
      }
    }
    let spins = scenario("each waits for the other", [wait(for: 0, then: 1)], [wait(for: 1, then: 0)])
    // One of them is enough, when the other has nothing to do.
    try expectFailure(spins, .livelock, preemptions: 0, steps: 1)
    var plan = Plan()
    plan.minimizes = false
    #expect(Explorer.explore(spins, plan).counterexample?.steps == 2)
  }

  @Test func lockThatIsNotHeld() throws {
    let unlock = scenario(
      "unlock", [Action("lock") { $0[0].lock() }, Action("unlock") { $0[0].unlock() }], [Action("unlock") { $0[0].unlock() }])
    try expectFailure(unlock, .misuse, preemptions: 0, steps: 1)
  }

  @Test func stepLimit() throws {
    let endless = scenario("no end", [Action("spin") { while $0[0].load(.relaxed) == 0 {} }])
    try expectFailure(endless, .stepLimit, preemptions: 0, steps: 50, stepLimit: 50)
  }
}
