import Ashlar
import ScheduleExplorer

/// Something that takes any byte string and says what is wrong with what the allocator made of it.
public struct FuzzTarget: Sendable {
  public let name: String
  public let summary: String
  /// Bytes of an input that stand before its operation program; `.max` for a target that runs none.
  public let prefixBytes: Int
  /// What is wrong; nil when nothing is.
  public let run: @Sendable ([UInt8]) -> String?

  public static let all: [FuzzTarget] = [operations, operationsInC, guarded, systemFaults, schedules]

  public static func named(_ name: String) -> FuzzTarget? { all.first { $0.name == name } }

  static let operations = FuzzTarget(
    name: "operations", summary: "operation programs on all levels through the Swift interface, misuse and threads included",
    prefixBytes: 0
  ) { ProgramRunner.run(OperationProgram(bytes: $0)) }

  static let operationsInC = FuzzTarget(
    name: "operations-c", summary: "the same through the C interface", prefixBytes: 0
  ) { ProgramRunner.run(OperationProgram(bytes: $0), on: CSubject()) }

  static let guarded = FuzzTarget(
    name: "guarded", summary: "the same with blocks guarded in the way, and as often, as the first byte says", prefixBytes: 1
  ) { bytes in
    guard let first = bytes.first else { return nil }
    let interval = Int(first >> 2 & 7) + 1
    PoolAllocator.guards = .init(canaries: first & 1 == 0 ? interval : 0, pages: first & 2 == 0 ? interval : 0)
    defer { PoolAllocator.guards = .init() }
    return ProgramRunner.run(OperationProgram(bytes: bytes.dropFirst()))
  }

  static let schedules = FuzzTarget(
    name: "schedules", summary: "the model that the first byte names, its threads scheduled by the bytes that follow",
    prefixBytes: .max
  ) { bytes in
    guard let first = bytes.first else { return nil }
    let model = Model.all[Int(first) % Model.all.count]
    var plan = Plan(.bytes(Array(bytes.dropFirst())))
    // The input is the counterexample; the fuzzer makes it smaller.
    plan.minimizes = false
    return model.explore(plan).counterexample.map { "\(model.name): \($0)" }
  }

  static let systemFaults = FuzzTarget(
    name: "system-faults", summary: "the same with the system calls failing from the one that the first byte names",
    prefixBytes: 1
  ) { bytes in
    guard let first = bytes.first else { return nil }
    PoolAllocator.injectSystemFault(call: Int(first & 127) + 1, onwards: first & 128 != 0)
    defer { PoolAllocator.liftSystemFaults() }
    return ProgramRunner.run(OperationProgram(bytes: bytes.dropFirst()))
  }
}
