import ScheduleExplorer
import Testing

/// The outcomes of well-known litmus tests are exactly those that RC11 allows: no more, or models would fail for nothing,
/// and no fewer, or they would miss what hardware does.
@Suite struct LitmusTests {
  @Test func storeBuffering() {
    let weak = [[store("x", 1, .releasing), load("y", 0, .acquiring)], [store("y", 1, .releasing), load("x", 1, .acquiring)]]
    #expect(outcomes(weak, registers: 2) == ["00", "01", "10", "11"])
    let strong = [[store("x", 1, .sequential), load("y", 0, .sequential)], [store("y", 1, .sequential), load("x", 1, .sequential)]]
    #expect(outcomes(strong, registers: 2) == ["01", "10", "11"])
    let fenced = [
      [store("x", 1, .relaxed), fence(.sequential), load("y", 0, .relaxed)],
      [store("y", 1, .relaxed), fence(.sequential), load("x", 1, .relaxed)],
    ]
    #expect(outcomes(fenced, registers: 2) == ["01", "10", "11"])
    #expect(outcomes(weak, registers: 2, memory: .sequential) == ["01", "10", "11"])
  }

  @Test(arguments: [
    (Order.releasing, Order.acquiring, false), (.relaxed, .acquiring, true), (.releasing, .relaxed, true), (.relaxed, .relaxed, true),
  ])
  func messagePassing(_ publish: Order, _ receive: Order, _ mayMiss: Bool) {
    let threads = [[store("x", 1, .relaxed), store("y", 1, publish)], [load("y", 0, receive), load("x", 1, .relaxed)]]
    #expect(outcomes(threads, registers: 2) == (mayMiss ? ["00", "01", "10", "11"] : ["00", "01", "11"]))
  }

  @Test func messagePassingByFences() {
    let threads = [
      [store("x", 1, .relaxed), fence(.releasing), store("y", 1, .relaxed)],
      [load("y", 0, .relaxed), fence(.acquiring), load("x", 1, .relaxed)],
    ]
    #expect(outcomes(threads, registers: 2) == ["00", "01", "11"])
  }

  @Test func messagePassingThroughARelaxedUpdate() {
    // A release sequence: the update in between passes on what the store released.
    let threads = [
      [store("x", 1, .relaxed), store("y", 1, .releasing)], [add("y", 1, 0, .relaxed)], [load("y", 1, .acquiring), load("x", 2, .relaxed)],
    ]
    let found = outcomes(threads, registers: 3)
    #expect(!found.contains("120") && found.contains("121"))
    // A relaxed store of the same thread ends it (C++20).
    let ended = [
      [store("x", 1, .relaxed), store("y", 1, .releasing), store("y", 2, .relaxed)], [load("y", 0, .acquiring), load("x", 1, .relaxed)],
    ]
    #expect(outcomes(ended, registers: 2) == ["00", "01", "11", "20", "21"])
  }

  /// RC11 lets no load return a store of its own future, not even relaxed; C11 on paper does.
  @Test(arguments: [Order.relaxed, .acquiring]) func loadBuffering(_ order: Order) {
    let threads = [[load("x", 0, order), store("y", 1, .relaxed)], [load("y", 1, order), store("x", 1, .relaxed)]]
    #expect(outcomes(threads, registers: 2) == ["00", "01", "10"])
  }

  /// Where loads may see the future, relaxed ones do, and what orders either hand-over keeps them from it.
  @Test(arguments: [true, false]) func loadBufferingAhead(_ reduces: Bool) {
    func found(_ loadX: Order, _ storeY: Order, _ loadY: Order, _ storeX: Order) -> Set<String> {
      let threads = [[load("x", 0, loadX), store("y", 1, storeY)], [load("y", 1, loadY), store("x", 1, storeX)]]
      return outcomes(threads, registers: 2, memory: .loadBuffering, reduces: reduces)
    }
    let all: Set<String> = ["00", "01", "10", "11"]
    #expect(found(.relaxed, .relaxed, .relaxed, .relaxed) == all)
    // Half of a hand-over orders nothing, as C11 has it.
    #expect(found(.relaxed, .releasing, .relaxed, .releasing) == all)
    #expect(found(.relaxed, .releasing, .acquiring, .relaxed) == ["00", "01", "10"])
    #expect(found(.acquiring, .relaxed, .relaxed, .releasing) == ["00", "01", "10"])
    #expect(found(.acquiring, .releasing, .acquiring, .releasing) == ["00", "01", "10"])
  }

  @Test(arguments: [nil, 2]) func loadBufferingOfThreeAhead(_ bound: Int?) {
    func found(_ order: Order) -> Set<String> {
      let threads = [
        [load("x", 0, .relaxed), store("y", 1, .releasing)], [load("y", 1, order), store("z", 1, .releasing)],
        [load("z", 2, order), store("x", 1, .relaxed)],
      ]
      return outcomes(threads, registers: 3, memory: .loadBuffering, bound: bound)
    }
    #expect(found(.relaxed).contains("111"))
    #expect(found(.acquiring).count == 7 && !found(.acquiring).contains("111"))
  }

  @Test func aLoadAheadKeepsCoherence() {
    // A load does not return a store of its own thread that comes after it, nor fall behind what the thread has read.
    #expect(outcomes([[load("x", 0, .relaxed), store("x", 1, .relaxed)]], registers: 1, memory: .loadBuffering) == ["0"])
    let twice = [[load("x", 0, .relaxed), load("x", 1, .relaxed), store("y", 1, .relaxed)], [load("y", 2, .relaxed), store("x", 1, .relaxed)]]
    let found = outcomes(twice, registers: 3, memory: .loadBuffering)
    #expect(found.contains("011") && !found.contains("100") && !found.contains("101"))
    // Nor does it wait until after a fence that acquires, which is less than C11 permits, and what processors do.
    let fenced = [("x", "y"), ("y", "x")].enumerated().map { [load($1.0, $0, .relaxed), fence(.acquiring), store($1.1, 1, .relaxed)] }
    #expect(!outcomes(fenced, registers: 2, memory: .loadBuffering).contains("11"))
  }

  @Test func whatFailsAheadOfItsStoreCountsWhenTheStoreComes() {
    var scenario = Scenario("ahead") { Registers() }
    scenario.thread(load("x", 0, .relaxed), store("y", 1, .relaxed), Litmus("x is 0") { try require($0.r[0] != 1, "x was 1") })
    scenario.thread(load("y", 1, .relaxed), store("x", 1, .relaxed))
    var plan = Plan(.exhaustive(preemptions: 0))
    plan.memory = .loadBuffering
    let found = Explorer.explore(scenario, plan).counterexample
    #expect(found?.failure.message == "x was 1" && found?.isReproduced == true)
  }

  /// Values come from executions without: there is none out of thin air.
  @Test func nothingComesOutOfThinAir() {
    func copy(_ from: String, _ to: String, _ register: Int) -> Litmus {
      Litmus("\(to) = \(from)") { state in
        state.r[register] = state.variable(from).load(.relaxed)
        state.variable(to).store(state.r[register], .relaxed)
      }
    }
    #expect(outcomes([[copy("x", "y", 0)], [copy("y", "x", 1)]], registers: 2, memory: .loadBuffering) == ["00"])
  }

  @Test func whatALoadAheadShowsIsReplayed() throws {
    var scenario = Scenario("load buffering") { Registers() }
    for thread in [[load("x", 0, .relaxed), store("y", 1, .relaxed)], [load("y", 1, .relaxed), store("x", 1, .relaxed)]] {
      scenario.thread(thread)
    }
    scenario.check = { try require($0.r[0] != 1 || $0.r[1] != 1, "both loads saw the other's store") }
    var plan = Plan(.exhaustive(preemptions: 2))
    plan.memory = .loadBuffering
    let report = Explorer.explore(scenario, plan)
    let found = try #require(report.counterexample)
    #expect(found.isReproduced && found.table.contains("yet to be stored"))
    let schedule = try #require(Schedule(found.schedule.description))
    #expect(schedule == found.schedule)
    plan.search = .replay(schedule)
    #expect(Explorer.explore(scenario, plan).counterexample?.failure == found.failure)
  }

  @Test func independentReadsOfIndependentWrites() {
    let threads = [
      [store("x", 1, .releasing)], [store("y", 1, .releasing)], [load("x", 0, .acquiring), load("y", 1, .acquiring)],
      [load("y", 2, .acquiring), load("x", 3, .acquiring)],
    ]
    // Two readers may see two stores in opposite orders.
    let found = outcomes(threads, registers: 4)
    #expect(found.count == 16 && found.contains("1010"))
    let sequential = [
      [store("x", 1, .sequential)], [store("y", 1, .sequential)], [load("x", 0, .sequential), load("y", 1, .sequential)],
      [load("y", 2, .sequential), load("x", 3, .sequential)],
    ]
    let ordered = outcomes(sequential, registers: 4)
    #expect(ordered.count == 15 && !ordered.contains("1010"))
  }

  @Test func writeToReadCausality() {
    let threads = [
      [store("x", 1, .relaxed)], [load("x", 0, .acquiring), store("y", 1, .releasing)], [load("y", 1, .acquiring), load("x", 2, .relaxed)],
    ]
    // What was read before a release is known to whoever acquires it.
    let found = outcomes(threads, registers: 3)
    #expect(found == ["000", "001", "010", "011", "100", "101", "111"])
  }

  @Test func writeToReadCausalityOfThree() {
    // ISA2: two hand-overs carry what was before the first.
    let threads = [
      [store("x", 1, .relaxed), store("y", 1, .releasing)], [load("y", 0, .acquiring), store("z", 1, .releasing)],
      [load("z", 1, .acquiring), load("x", 2, .relaxed)],
    ]
    let found = outcomes(threads, registers: 3)
    #expect(found.count == 7 && !found.contains("110"))
  }

  @Test func readToWriteCausality() {
    // RWC: what is read is not yet known to all.
    func threads(_ between: [Litmus]) -> [[Litmus]] {
      [
        [store("x", 1, .releasing)], [load("x", 0, .acquiring)] + between + [load("y", 1, .acquiring)],
        [store("y", 1, .releasing)] + between + [load("x", 2, .acquiring)],
      ]
    }
    #expect(outcomes(threads([]), registers: 3).contains("100"))
    #expect(!outcomes(threads([fence(.sequential)]), registers: 3).contains("100"))
  }

  @Test func aStoreBehindWhatIsKnown() {
    // S: what happened before a store comes before it in modification order too.
    func threads(_ publish: Order, _ receive: Order) -> [[Litmus]] {
      [[store("x", 2, .relaxed), store("y", 1, publish)], [load("y", 0, receive), store("x", 1, .relaxed)]]
    }
    #expect(!outcomes(threads(.releasing, .acquiring), registers: 1, final: ["x"]).contains("12"))
    #expect(outcomes(threads(.relaxed, .acquiring), registers: 1, final: ["x"]).contains("12"))
    #expect(outcomes(threads(.releasing, .relaxed), registers: 1, final: ["x"]).contains("12"))
  }

  @Test func storesAgainstALoad() {
    // R: B's store of y comes last, and B does not see x.
    func threads(_ order: Order, _ loads: Order, _ between: [Litmus] = []) -> [[Litmus]] {
      [[store("x", 1, order)] + between + [store("y", 1, order)], [store("y", 2, order)] + between + [load("x", 0, loads)]]
    }
    #expect(outcomes(threads(.releasing, .acquiring), registers: 1, final: ["y"]).contains("02"))
    #expect(!outcomes(threads(.sequential, .sequential), registers: 1, final: ["y"]).contains("02"))
    #expect(!outcomes(threads(.relaxed, .relaxed, [fence(.sequential)]), registers: 1, final: ["y"]).contains("02"))
  }

  @Test func modificationOrderIsNoHandOver() {
    // Z6: B's store of y comes after A's, which tells B nothing.
    func threads(_ between: [Litmus]) -> [[Litmus]] {
      [
        [store("x", 1, .relaxed)] + between + [store("y", 1, .releasing)], [store("y", 2, .relaxed)] + between + [store("z", 1, .releasing)],
        [load("z", 0, .acquiring)] + between + [load("x", 1, .relaxed)],
      ]
    }
    #expect(outcomes(threads([]), registers: 2, final: ["y"]).contains("102"))
    #expect(!outcomes(threads([fence(.sequential)]), registers: 2, final: ["y"]).contains("102"))
  }

  @Test func loadBufferingOfThree() {
    let threads = [
      [load("x", 0, .relaxed), store("y", 1, .relaxed)], [load("y", 1, .relaxed), store("z", 1, .relaxed)],
      [load("z", 2, .relaxed), store("x", 1, .relaxed)],
    ]
    let found = outcomes(threads, registers: 3)
    #expect(found.count == 7 && !found.contains("111"))
  }

  @Test(arguments: [true, false]) func oneFenceAndOneOrderedAccess(_ publishesByFence: Bool) {
    let publish = publishesByFence ? [fence(.releasing), store("y", 1, .relaxed)] : [store("y", 1, .releasing)]
    let receive = publishesByFence ? [load("y", 0, .acquiring)] : [load("y", 0, .relaxed), fence(.acquiring)]
    let threads = [[store("x", 1, .relaxed)] + publish, receive + [load("x", 1, .relaxed)]]
    #expect(outcomes(threads, registers: 2) == ["00", "01", "11"])
  }

  @Test func aFenceOrdersWhatStandsOnItsOtherSideOnly() {
    let late = [
      [store("x", 1, .relaxed), store("y", 1, .relaxed), fence(.releasing)],
      [load("y", 0, .relaxed), fence(.acquiring), load("x", 1, .relaxed)],
    ]
    #expect(outcomes(late, registers: 2).contains("10"))
    let early = [
      [store("x", 1, .relaxed), fence(.releasing), store("y", 1, .relaxed)],
      [fence(.acquiring), load("y", 0, .relaxed), load("x", 1, .relaxed)],
    ]
    #expect(outcomes(early, registers: 2).contains("10"))
  }

  @Test func sequentialFencesBetweenLoads() {
    // IRIW: RC11 lets fences between the loads of both readers settle the order of the stores.
    let threads = [
      [store("x", 1, .relaxed)], [store("y", 1, .relaxed)], [load("x", 0, .relaxed), fence(.sequential), load("y", 1, .relaxed)],
      [load("y", 2, .relaxed), fence(.sequential), load("x", 3, .relaxed)],
    ]
    let found = outcomes(threads, registers: 4)
    #expect(found.count == 15 && !found.contains("1010"))
  }

  @Test func sequentialAccessesAndFences() {
    // Store buffering with a fence on one side and sequential accesses on the other.
    let threads = [
      [store("x", 1, .relaxed), fence(.sequential), load("y", 0, .relaxed)],
      [store("y", 1, .sequential), load("x", 1, .sequential)],
    ]
    #expect(outcomes(threads, registers: 2) == ["01", "10", "11"])
  }

  @Test func sequentialLoadsOrderSequentialStoresOnly() {
    // Store buffering where one store is not sequential: nothing makes the load of it return it.
    let threads = [[store("x", 1, .releasing), load("y", 0, .sequential)], [store("y", 1, .sequential), load("x", 1, .sequential)]]
    #expect(outcomes(threads, registers: 2) == ["00", "01", "10", "11"])
    // What stands before a sequential store is not known to whoever stores to another variable after it.
    let apart = [
      [store("x", 1, .relaxed), store("y", 1, .sequential), load("z", 0, .sequential)],
      [store("z", 1, .sequential), load("x", 1, .relaxed)],
    ]
    #expect(outcomes(apart, registers: 2) == ["00", "01", "10", "11"])
  }

  @Test func coherenceOfReads() {
    let threads = [[store("x", 1, .relaxed), store("x", 2, .relaxed)], [load("x", 0, .relaxed), load("x", 1, .relaxed)]]
    #expect(outcomes(threads, registers: 2) == ["00", "01", "02", "11", "12", "22"])
    // Two readers agree on the order of two stores.
    let readers = [
      [store("x", 1, .relaxed)], [store("x", 2, .relaxed)], [load("x", 0, .relaxed), load("x", 1, .relaxed)],
      [load("x", 2, .relaxed), load("x", 3, .relaxed)],
    ]
    let found = outcomes(readers, registers: 4)
    #expect(!found.contains("1221") && !found.contains("2112") && found.contains("1212") && found.contains("2121"))
  }

  @Test func coherenceOfReadsAndWrites() {
    let readThenWrite = [[load("x", 0, .relaxed), store("x", 1, .relaxed)], [store("x", 2, .relaxed)]]
    #expect(outcomes(readThenWrite, registers: 1, final: ["x"]) == ["01", "02", "21"])
    let writeThenRead = [[store("x", 1, .relaxed), load("x", 0, .relaxed)], [store("x", 2, .relaxed)]]
    #expect(outcomes(writeThenRead, registers: 1, final: ["x"]) == ["11", "12", "22"])
  }

  @Test func twoPlusTwoWrites() {
    let threads = [[store("x", 1, .releasing), store("y", 2, .releasing)], [store("y", 1, .releasing), store("x", 2, .releasing)]]
    // Modification orders that no single order of the stores explains.
    #expect(outcomes(threads, registers: 0, final: ["x", "y"]) == ["11", "12", "21", "22"])
    #expect(outcomes(threads, registers: 0, final: ["x", "y"], memory: .releaseAcquire) == ["12", "21", "22"])
  }

  @Test func updatesAreAtomic() {
    let threads = [[add("x", 1, 0, .relaxed)], [add("x", 1, 1, .relaxed)], [add("x", 1, 2, .relaxed)]]
    #expect(outcomes(threads, registers: 3, final: ["x"]) == ["0123", "0213", "1023", "1203", "2013", "2103"])
  }

  @Test func aStoreAndAnUpdate() {
    let threads = [[add("x", 1, 0, .relaxed)], [store("x", 5, .relaxed)]]
    // No store comes between what an update reads and what it writes.
    #expect(outcomes(threads, registers: 1, final: ["x"]) == ["05", "56"])
  }
}
