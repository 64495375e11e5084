import Testing

@testable import ScheduleExplorer

/// Code that is known to be right comes out clean, and is shown to need each ordering that it asks for.
@Suite struct SoundCodeTests {
  private func expectSound<State>(
    _ scenario: Scenario<State>, bound: Int? = 2, orderings: Int, sourceLocation: SourceLocation = #_sourceLocation
  ) {
    let survey = Survey()
    var plan = Plan(.exhaustive(preemptions: bound))
    plan.minimizes = false
    let report = Explorer.explore(scenario, plan, survey: survey)
    #expect(report.isComplete && report.counterexample == nil, "\(report)", sourceLocation: sourceLocation)
    #expect(survey.orderings.count == orderings, "\(survey.orderings)", sourceLocation: sourceLocation)
    for weakening in survey.orderings {
      plan.weakening = weakening
      #expect(Explorer.explore(scenario, plan).counterexample != nil, "\(weakening) does no harm", sourceLocation: sourceLocation)
    }
  }

  // MARK: Cells

  @Test(arguments: [1, 2, 8]) func `a cell has its size, and its neighbours stay what they are`(bytes: Int) {
    final class Memory {
      let words = UnsafeMutablePointer<UInt>.allocate(capacity: 2)
      let bytes: Int
      init(bytes: Int) {
        self.bytes = bytes
        words.initialize(repeating: .max, count: 2)
      }
      deinit { words.deallocate() }
      func cell(_ number: Int) -> UnsafeMutableRawPointer { UnsafeMutableRawPointer(words) + number * bytes }
    }
    let most = UInt.max >> UInt(64 - 8 * bytes)
    var scenario = Scenario("cells") { Memory(bytes: bytes) }
    for number in 0..<2 {
      scenario.thread(Action("store \(number)") { memory in
        Explored.store(UInt(number), to: memory.cell(number), bytes: bytes, .relaxed)
        if Explored.load(memory.cell(number), bytes: bytes, .relaxed) != UInt(number) { Explored.store(7, to: memory.cell(number), bytes: bytes, .relaxed) }
      })
    }
    scenario.check = { memory in
      let cells = (0..<3).map { $0 * bytes < 16 ? Explored.load(memory.cell($0), bytes: bytes, .relaxed) : most }
      try require(cells == [0, 1, most], "\(cells)")
    }
    let report = Explorer.explore(scenario, Plan(.exhaustive(preemptions: nil)))
    #expect(report.isComplete && report.counterexample == nil, "\(report)")
  }

  // MARK: Locks

  @Test func ticketLock() {
    final class Lock {
      let variables = Variables("next", "serving", "data")
      func add() {
        let ticket = variables[0].add(1, .relaxed)
        while variables[1].load(.acquiring) != ticket { Explored.pause() }
        variables[2].write(variables[2].read() + 1)
        variables[1].store(ticket + 1, .releasing)
      }
    }
    var scenario = Scenario("ticket lock") { Lock() }
    for _ in 0..<3 { scenario.thread(Action("add") { $0.add() }) }
    scenario.check = { try require($0.variables[2].read() == 3, "an addition was lost") }
    expectSound(scenario, orderings: 2)
  }

  /// Drepper, "Futexes Are Tricky" (2011), mutex 3: 0 is free, 1 held, 2 held and perhaps waited for.
  @Test func futexMutex() {
    final class Mutex {
      let variables = Variables("mutex", "data")
      var word: Variable { variables[0] }
      func add() {
        if !word.compareExchange(0, 1, .acquiring) {
          while word.exchange(2, .acquiring) != 0 { word.wait(while: 2) }
        }
        variables[1].write(variables[1].read() + 1)
        if word.add(UInt.max, .releasing) != 1 {
          word.store(0, .releasing)
          word.wake()
        }
      }
    }
    var scenario = Scenario("futex mutex") { Mutex() }
    for _ in 0..<3 { scenario.thread(Action("add") { $0.add() }) }
    scenario.check = { try require($0.variables[1].read() == 3, "an addition was lost") }
    expectSound(scenario, orderings: 4)
  }

  /// Boehm, "Can Seqlocks Get Along With Programming Language Memory Models?" (2012).
  @Test func sequenceLock() {
    final class Lock {
      let variables = Variables("sequence", "x", "y")
      func write(_ value: UInt) {
        let sequence = variables[0].load(.relaxed)
        variables[0].store(sequence + 1, .relaxed)
        Explored.fence(.releasing)
        variables[1].store(value, .relaxed)
        variables[2].store(value, .relaxed)
        variables[0].store(sequence + 2, .releasing)
      }
      func read() throws {
        while true {
          let sequence = variables[0].load(.acquiring)
          if sequence & 1 == 0 {
            let x = variables[1].load(.relaxed)
            let y = variables[2].load(.relaxed)
            Explored.fence(.acquiring)
            if variables[0].load(.relaxed) == sequence { return try require(x == y, "read \(x) and \(y)") }
          }
          Explored.pause()
        }
      }
    }
    var scenario = Scenario("sequence lock") { Lock() }
    scenario.thread(Action("write") { $0.write(1) }, Action("write") { $0.write(2) })
    scenario.thread(Action("read") { try $0.read() })
    expectSound(scenario, orderings: 4)
  }

  // MARK: Queues and stacks

  @Test func michaelScottQueue() {
    var scenario = Scenario("queue") { MichaelScottQueue() }
    scenario.thread(Action("enqueue") { $0.enqueue(1) }, Action("enqueue") { $0.enqueue(2) })
    scenario.thread(Action("dequeue") { $0.dequeue() }, Action("enqueue") { $0.enqueue(3) }, Action("dequeue") { $0.dequeue() })
    scenario.check = { try $0.history.requireLinearizable(QueueModel.self) }
    expectSound(scenario, orderings: 4)
  }

  @Test func taggedStack() {
    var scenario = Scenario("tagged stack") { TreiberStack(isTagged: true, nodes: 2) }
    scenario.thread(Action("take") { $0.take() }, Action("give back") { $0.giveBack() })
    scenario.thread(Action("take") { $0.take() }, Action("take") { $0.take() }, Action("give back") { $0.giveBack() })
    scenario.check = { stack in
      try stack.checkOwners()
      try stack.history.requireLinearizable(StackModel.self)
    }
    expectSound(scenario, orderings: 2)
  }
}
