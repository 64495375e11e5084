import Testing

@testable import ScheduleExplorer

@Suite struct LinearizabilityTests {
  private typealias Queue = History<QueueModel.Operation>

  /// A register that holds 0 at first.
  private enum RegisterModel: SequentialModel {
    enum Operation { case write(Int), read(Int) }
    static let initial = 0

    static func apply(_ operation: Operation, to state: inout Int) -> Bool {
      switch operation {
      case .write(let value): state = value
      case .read(let value): return state == value
      }
      return true
    }
  }

  // MARK: Histories

  @Test func nothing() { #expect(Queue().isLinearizable(QueueModel.self)) }

  @Test func oneAfterTheOther() {
    let history = Queue()
    let first = history.add(.enqueue(1))
    let second = history.add(.enqueue(2), after: [first])
    history.add(.dequeue(2), after: [first, second])
    #expect(!history.isLinearizable(QueueModel.self))
  }

  @Test func overlapping() {
    // The enqueues overlap, so that either may be the first.
    for value in [1, 2] as [UInt] {
      let history = Queue()
      let first = history.add(.enqueue(1))
      let second = history.add(.enqueue(2))
      history.add(.dequeue(value), after: [first, second])
      #expect(history.isLinearizable(QueueModel.self))
    }
  }

  @Test func emptyWhileAnEnqueueIsUnderWay() {
    let overlapping = Queue()
    overlapping.add(.enqueue(1))
    overlapping.add(.dequeue(0))
    #expect(overlapping.isLinearizable(QueueModel.self))
    let ordered = Queue()
    ordered.add(.enqueue(1))
    ordered.add(.dequeue(0), after: [0])
    #expect(!ordered.isLinearizable(QueueModel.self))
  }

  @Test func takenTwiceOrFromNowhere() {
    let twice = Queue()
    twice.add(.enqueue(1))
    twice.add(.dequeue(1))
    twice.add(.dequeue(1))
    #expect(!twice.isLinearizable(QueueModel.self))
    let nowhere = Queue()
    nowhere.add(.dequeue(7))
    #expect(!nowhere.isLinearizable(QueueModel.self))
  }

  @Test func oldValueAfterANewOne() {
    // Two reads of one thread, while a write is under way: new, then old.
    func history(_ first: Int, _ second: Int) -> History<RegisterModel.Operation> {
      let history = History<RegisterModel.Operation>()
      history.add(.write(1))
      let read = history.add(.read(first))
      history.add(.read(second), after: [read])
      return history
    }
    #expect(history(0, 1).isLinearizable(RegisterModel.self))
    #expect(!history(1, 0).isLinearizable(RegisterModel.self))
  }

  @Test func manyOverlapping() {
    // Of the 12! orders only the sets of what is done count.
    let history = History<RegisterModel.Operation>()
    for _ in 0..<12 { history.add(.write(1)) }
    history.add(.read(2))
    #expect(!history.isLinearizable(RegisterModel.self))
  }

  @Test func whatIsWrongIsListed() {
    let history = Queue()
    history.add(.enqueue(1))
    history.add(.dequeue(0), after: [0])
    #expect(throws: Failure.self) { try history.requireLinearizable(QueueModel.self) }
    do { try history.requireLinearizable(QueueModel.self) } catch {
      #expect("\(error)".contains("0: enqueue(1), 1: dequeue(0) after 0"))
    }
  }

  // MARK: Histories of executions

  private final class Register {
    let variables = Variables("value", "flag")
    let history = History<RegisterModel.Operation>()
    func write(_ value: UInt, _ order: Order = .relaxed) {
      history.record { variables[0].store(value, order) } as: { .write(Int(value)) }
    }
    func read() { _ = history.record { variables[0].load(.relaxed) } as: { .read(Int($0)) } }
  }

  private func explore(_ threads: [Action<Register>]...) -> Report {
    var scenario = Scenario("register") { Register() }
    for thread in threads { scenario.thread(thread) }
    scenario.check = { try $0.history.requireLinearizable(RegisterModel.self) }
    return Explorer.explore(scenario, Plan(.exhaustive(preemptions: nil)))
  }

  @Test func whatAnotherThreadKnowsIsOrdered() {
    let write = Action<Register>("write") { $0.write(1) }
    let read = Action<Register>("read") { $0.read() }
    func tell(_ order: Order) -> Action<Register> { Action("tell") { $0.variables[1].store(1, order) } }
    let hear = Action<Register>("hear") { state in
      while state.variables[1].load(.acquiring) == 0 { Explored.pause() }
    }
    // A load may return the store before although the write has ended, as long as nothing tells the reader.
    #expect(explore([write], [read]).counterexample == nil)
    #expect(explore([write, tell(.releasing)], [hear, read]).counterexample == nil)
    // Told without a release, the reader knows of no order either.
    #expect(explore([write, tell(.relaxed)], [hear, read]).counterexample == nil)
  }

  @Test func aBufferedWriteIsFound() {
    // A write that ends before it is done.
    let write = Action<Register>("write") { state in
      state.history.record {} as: { .write(1) }
      state.variables[1].store(1, .releasing)
      state.variables[0].store(1, .relaxed)
    }
    let read = Action<Register>("read") { state in
      while state.variables[1].load(.acquiring) == 0 { Explored.pause() }
      state.read()
    }
    #expect(explore([write], [read]).counterexample?.failure.kind == .violation)
  }

  @Test func setUpComesBeforeAndTheCheckAfter() {
    var scenario = Scenario("register") {
      let register = Register()
      register.write(5)
      return register
    }
    scenario.thread(Action("write") { $0.write(1) })
    scenario.check = { register in
      register.read()
      try register.history.requireLinearizable(RegisterModel.self)
      // 5 was overwritten, which the reader knows.
      _ = register.history.record { 5 } as: { .read($0) }
      try require(!register.history.isLinearizable(RegisterModel.self), "the order of the set-up or of the check is lost")
    }
    let report = Explorer.explore(scenario)
    #expect(report.counterexample == nil, "\(report)")
  }
}
