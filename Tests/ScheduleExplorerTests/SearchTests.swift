import Testing

@testable import ScheduleExplorer

/// What finds a failure, what is made of it, and what is said where a search ends early.
@Suite struct SearchTests {
  private let stack = BrokenCodeTests.untaggedStack

  private func find(_ search: Plan.Search) -> Report {
    var plan = Plan(search)
    plan.minimizes = false
    return Explorer.explore(stack, plan)
  }

  // MARK: Searches

  @Test(arguments: [1, 2, 3] as [UInt64]) func randomFindsIt(_ seed: UInt64) {
    #expect(find(.random(seed: seed, executions: 20_000)).counterexample?.failure.kind == .violation)
  }

  @Test(arguments: [1, 2, 3] as [UInt64]) func prioritiesFindIt(_ seed: UInt64) {
    #expect(find(.priorities(seed: seed, executions: 20_000, depth: 3)).counterexample?.failure.kind == .violation)
  }

  @Test func bytesFindIt() {
    // A's first two steps, and then B.
    #expect(find(.bytes([0, 0, 0x81])).counterexample?.failure.kind == .violation)
    #expect(find(.bytes([])).counterexample == nil)
  }

  @Test func aSeedRepeatsASearch() {
    #expect(find(.random(seed: 7, executions: 20_000)).executions == find(.random(seed: 7, executions: 20_000)).executions)
  }

  // MARK: Between explorations

  @Test func aWorkbenchChangesNothing() {
    let workbench = Workbench()
    for bytes in [[0, 0, 0x81], [], [0x80, 1], [0, 0, 0x81]] as [[UInt8]] {
      var plan = Plan(.bytes(bytes))
      plan.minimizes = false
      let (shared, own) = (Explorer.explore(stack, plan, on: workbench), Explorer.explore(stack, plan))
      #expect(shared.counterexample?.table == own.counterexample?.table && shared.executions == own.executions)
    }
  }

  @Test func whatIsLeftForTheEndIsDoneThoughAThreadIsCutOff() {
    var (begun, over) = (0, 0)
    var scenario = Scenario("a thread that is cut off") {
      begun += 1
      Explored.whenOver { over += 1 }
      return Variables("word")
    }
    scenario.thread(Action("write") { $0[0].store(1, .relaxed) }, Action("write again") { $0[0].store(2, .relaxed) })
    scenario.thread(Action("end the other") { _ in Explored.endOtherThreads() })
    var plan = Plan(.exhaustive(preemptions: nil))
    plan.reduces = false
    #expect(Explorer.explore(scenario, plan).counterexample == nil)
    #expect(begun == over && begun > 1)
  }

  // MARK: Counterexamples

  @Test func theMinimizerLeavesOutWhatHasNoPart() throws {
    var scenario = Scenario("untagged stack and more") { (stack: TreiberStack(isTagged: false, nodes: 2), other: Variables("other")) }
    typealias More = Action<(stack: TreiberStack, other: Variables)>
    let noise = More("noise") { $0.other[0].add(1, .relaxed) }
    let take = More("take") { $0.stack.take() }
    scenario.thread(noise, take, noise)
    scenario.thread(noise)
    scenario.thread(take, noise, take, More("give back") { $0.stack.giveBack() })
    scenario.check = { try $0.stack.checkOwners() }
    let report = Explorer.explore(scenario, Plan(.exhaustive(preemptions: 2)))
    let found = try #require(report.counterexample)
    #expect(found.kept == [[1], [], [0, 2, 3]], "\(report)")
    #expect(found.failure.kind == .violation && found.preemptions == 0 && found.steps == 12, "\(report)")
    let again = Explorer.explore(scenario.keeping(found.kept), Plan(.replay(found.schedule)))
    #expect(again.counterexample?.failure == found.failure && !again.isAstray)
  }

  @Test func aCounterexampleIsReplayed() throws {
    for memory in [MemoryModel.releaseAcquire, .sequential] {
      var plan = Plan()
      plan.memory = memory
      let found = try #require(Explorer.explore(stack, plan).counterexample)
      plan.search = .replay(try #require(Schedule(found.schedule.description)))
      plan.minimizes = false
      let report = Explorer.explore(stack, plan)
      #expect(report.executions == 1 && report.counterexample?.failure == found.failure && !report.isAstray)
      #expect(report.counterexample?.table == found.table)
    }
  }

  @Test func aScheduleOfSomethingElseGoesAstray() throws {
    let schedule = try #require(Schedule("C3"))
    let report = Explorer.explore(stack, Plan(.replay(schedule)))
    #expect(report.isAstray && report.description.contains("NOT AS THE SCHEDULE HAS IT"))
  }

  @Test func anActionThatIsNotDeterministicIsSaidToBe() throws {
    var runs = 0
    var scenario = Scenario("fails the first time") { Variables("x") }
    scenario.thread(
      Action("fail") { variables in
        _ = variables[0].load(.relaxed)
        runs += 1
        try require(runs > 1, "the first run")
      })
    let found = try #require(Explorer.explore(scenario).counterexample)
    #expect(!found.isReproduced && found.description.contains("NOT REPRODUCED"))
  }

  // MARK: Schedules

  @Test(arguments: ["", "A", "ABAB", "Ax12Bx4", "AAAA1", "1x5A", "A(10)(12)x4B", "Ax9x2"]) func schedulesAsText(_ text: String) throws {
    let schedule = try #require(Schedule(text))
    #expect(Schedule(schedule.description) == schedule)
  }

  @Test func runsBeforeDigits() {
    var schedule = Schedule()
    schedule.choices = Array(repeating: .thread(1), count: 7) + [.value(1)] + Array(repeating: .value(2), count: 5) + [.value(0), .thread(2)]
    #expect(Schedule(schedule.description) == schedule)
    var random = SplitMix(seed: 5)
    for _ in 0..<500 {
      schedule.choices = []
      for _ in 0..<random.below(6) {
        let choice: Schedule.Choice = random.below(2) == 0 ? .thread(1 + random.below(7)) : .value(random.below(12))
        schedule.choices += Array(repeating: choice, count: 1 + random.below(14))
      }
      #expect(Schedule(schedule.description) == schedule)
    }
  }

  @Test(arguments: ["H", "x3", "Ax0", "A(", "(3", "()", "Ax", "a", "A B"]) func whatIsNoSchedule(_ text: String) {
    #expect(Schedule(text) == nil)
  }

  // MARK: Limits

  @Test func executionLimitIsSaid() {
    var plan = Plan(.exhaustive(preemptions: nil))
    plan.executionLimit = 10
    let report = Explorer.explore(counters, plan)
    #expect(!report.isComplete && report.executions == 10 && report.limits == ["10 executions"])
    #expect(report.description.contains("stopped at the limit of 10 executions, no failure so far"))
  }

  @Test func secondsLimitIsSaid() {
    var plan = Plan(.exhaustive(preemptions: nil))
    plan.secondsLimit = 0
    plan.reduces = false
    let report = Explorer.explore(counters, plan)
    #expect(!report.isComplete && report.limits == ["0.0 s"])
  }

  @Test func progressIsTold() {
    var told: [Int] = []
    var plan = Plan(.random(seed: 1, executions: 10_000))
    plan.minimizes = false
    let report = Explorer.explore(counters, plan) { told.append($0) }
    #expect(told == [4096, 8192] && report.isComplete && report.executions == 10_000)
  }

  private var counters: Scenario<Variables> {
    var scenario = Scenario("counters") { Variables("x") }
    for _ in 0..<3 { scenario.thread(Action("add") { variables in for _ in 0..<3 { variables[0].add(1, .relaxed) } }) }
    scenario.check = { try require($0[0].load(.relaxed) == 9, "an addition was lost") }
    return scenario
  }

  // MARK: Corners

  @Test func threadsWithoutASharedStep() {
    var scenario = Scenario("nothing") { Variables("x") }
    scenario.thread()
    scenario.thread(Action("nothing") { _ in })
    let report = Explorer.explore(scenario)
    #expect(report.isComplete && report.executions == 1 && report.longest == 0)
  }

  @Test func aWordThatBecomesAPair() {
    var scenario = Scenario("pair") { Variables("x") }
    scenario.setUp = {
      let variables = Variables("x")
      variables[0].write(3)
      return variables
    }
    scenario.thread(
      Action("swap") { variables in
        let found = Explored.loadPair(variables[0].address, .relaxed)
        Explored.compareExchangePair(variables[0].address, expected: found, desired: (4, 5), .relaxed)
      })
    scenario.check = { try require(Explored.loadPair($0[0].address, .relaxed) == (4, 5), "half a pair") }
    #expect(Explorer.explore(scenario).counterexample == nil)
  }

  @Test func afterAFailedSwapAPauseEnds() {
    var scenario = Scenario("swaps with a pause") { Variables("x") }
    for _ in 0..<2 {
      scenario.thread(
        Action("add") { variables in
          while true {
            let found = variables[0].load(.relaxed)
            if variables[0].compareExchange(found, found + 1, .relaxed) { return }
            Explored.pause()
          }
        })
    }
    scenario.check = { try require($0[0].load(.relaxed) == 2, "an addition was lost") }
    let report = Explorer.explore(scenario, Plan(.exhaustive(preemptions: nil)))
    #expect(report.isComplete && report.counterexample == nil, "\(report)")
  }

  @Test func oldStoresAreReadTwiceAtMost() {
    var most = 0
    var scenario = Scenario("old stores") { Variables("x") }
    scenario.thread(Action("store") { $0[0].store(1, .relaxed) })
    scenario.thread(
      Action("swap") { variables in
        var tries = 0
        while !variables[0].compareExchange(1, 2, .relaxed) {
          tries += 1
          Explored.pause()
        }
        most = max(most, tries)
      })
    var plan = Plan(.exhaustive(preemptions: nil))
    plan.stepLimit = 30
    let report = Explorer.explore(scenario, plan)
    #expect(report.isComplete && report.counterexample == nil, "\(report)")
    // Once before there is another, and twice after.
    #expect(most == 3)
  }

  @Test func orderOfSequentialAccessesHidesNoRace() throws {
    // Each stores to its own variable in between, which orders nothing.
    var scenario = Scenario("race") { Variables("data", "x", "y") }
    scenario.thread(Action("write") { $0[0].write(1); $0[1].store(1, .sequential) })
    scenario.thread(Action("read") { $0[2].store(1, .sequential); _ = $0[0].read() })
    #expect(Explorer.explore(scenario).counterexample?.failure.kind == .race)
  }
}
