import ScheduleExplorer

/// A litmus test: threads that load and store a few variables, and the values that their loads returned.
final class Registers {
  let variables = Variables("x", "y", "z")
  var x: Variable { variables[0] }
  var y: Variable { variables[1] }
  var z: Variable { variables[2] }
  var r = [UInt](repeating: 9, count: 6)
}

typealias Litmus = Action<Registers>

func store(_ name: String, _ value: UInt, _ order: Order) -> Litmus {
  Litmus("\(name) = \(value)") { $0.variable(name).store(value, order) }
}

func load(_ name: String, _ register: Int, _ order: Order) -> Litmus {
  Litmus("r\(register) = \(name)") { $0.r[register] = $0.variable(name).load(order) }
}

func add(_ name: String, _ value: UInt, _ register: Int, _ order: Order) -> Litmus {
  Litmus("r\(register) = \(name) += \(value)") { $0.r[register] = $0.variable(name).add(value, order) }
}

func fence(_ order: Order) -> Litmus { Litmus("fence") { _ in Explored.fence(order) } }

extension Registers {
  func variable(_ name: String) -> Variable { variables[["x": 0, "y": 1, "z": 2][name]!] }
}

/// Every outcome of the threads: the first `registers` registers, and then the variables named in `final`, as digits.
func outcomes(
  _ threads: [[Litmus]], registers: Int, final: [String] = [], memory: MemoryModel = .releaseAcquireExact, reduces: Bool = true,
  bound: Int? = nil
) -> Set<String> {
  var found: Set<String> = []
  var scenario = Scenario("litmus") { Registers() }
  for thread in threads { scenario.thread(thread) }
  scenario.check = { state in
    let last = final.map { state.variable($0).load(.relaxed) }
    found.insert((state.r[..<registers] + last).map(String.init).joined())
  }
  var plan = Plan(.exhaustive(preemptions: bound))
  plan.memory = memory
  plan.reduces = reduces
  let report = Explorer.explore(scenario, plan)
  precondition(report.isComplete && report.counterexample == nil, report.description)
  return found
}
