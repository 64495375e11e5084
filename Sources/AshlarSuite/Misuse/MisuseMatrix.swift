import Foundation
import Synchronization

/// What came of a misuse.
public enum MisuseVerdict: Equatable, Sendable {
  /// In words; `late` when the program had gone on meanwhile.
  case reported(String, late: Bool)
  /// Ended without a word, by a signal or in another way.
  case crashed(String)
  case hung
  /// Nothing happened that could be seen.
  case accepted
  /// Nothing was said, and a live block's contents changed.
  case damaged
  /// Nothing was said, and memory that had an owner was given to another.
  case handedOutTwice
  /// The library has no such function, or never came to the point.
  case notApplicable

  /// In a word or two.
  public var label: String {
    switch self {
    case .reported(_, late: false): "reported"
    case .reported(_, late: true): "reported late"
    case .crashed: "crashed"
    case .hung: "hung"
    case .accepted: "accepted"
    case .damaged: "data damaged"
    case .handedOutTwice: "handed out twice"
    case .notApplicable: "–"
    }
  }

  /// With the words it was reported in.
  public var text: String {
    switch self {
    case .reported(let words, _): "\(label): \(words)"
    case .crashed(let end): "\(label): \(end)"
    default: label
    }
  }
}

/// Misuses and what came of them.
public enum MisuseMatrix {
  public struct Column: Sendable {
    public let library: String
    /// One for each scenario, in their order.
    public let verdicts: [MisuseVerdict]

    /// How many of each.
    public var summary: String {
      let counts = Dictionary(grouping: verdicts, by: \.label).mapValues(\.count)
      return counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map { "\($0.value) \($0.key)" }.joined(separator: ", ")
    }
  }

  /// How long a trial may take before it counts as hung.
  public static let usualLimit = 30.0

  /// Commits every misuse, each in a process of its own, `jobs` at a time.
  ///
  /// - Throws: `MissingLibrary`.
  public static func column(
    _ library: AllocatorLibrary, program: URL, jobs: Int, progress: @escaping @Sendable (Int) -> Void
  ) throws -> Column {
    let scenarios = MisuseScenario.all
    let results = Mutex([Result<MisuseVerdict, any Error>?](repeating: nil, count: scenarios.count))
    let next = Atomic<Int>(0)
    DispatchQueue.concurrentPerform(iterations: jobs) { _ in
      while true {
        let index = next.wrappingAdd(1, ordering: .relaxed).oldValue
        guard index < scenarios.count else { return }
        let result = Result { try verdict(library, scenarios[index], program: program) }
        results.withLock { $0[index] = result }
        progress(index)
      }
    }
    return Column(library: library.name, verdicts: try results.withLock { try $0.map { try $0!.get() } })
  }

  /// Commits one misuse.
  ///
  /// - Throws: `MissingLibrary`.
  public static func verdict(
    _ library: AllocatorLibrary, _ scenario: MisuseScenario, program: URL, seconds: Double = usualLimit
  ) throws -> MisuseVerdict {
    let result = try LibraryTask(.misuse, scenario.name).run(library, program: program, seconds: seconds)
    if result.run.end == .exit(LibraryTask.isMissing) { throw MissingLibrary(library: library, words: result.run.firstLine) }
    let stage = MisuseTrial.Stage(rawValue: result.journal[.stage]) ?? .before
    switch MisuseTrial.Sight(rawValue: result.journal[.verdict]) {
    case .notApplicable: return .notApplicable
    case .handedOutTwice: return .handedOutTwice
    case .damage where result.run.end == .exit(0) && stage == .exit: return .damaged
    default: break
    }
    let words = normalized(result.run.firstLine)
    switch result.run.end {
    case .timeout: return .hung
    case _ where !words.isEmpty: return .reported(words, late: stage != .misuse)
    case .signal(let number): return .crashed("signal \(number)")
    case .exit(0) where stage == .exit: return .accepted
    case .exit(let code): return .crashed("exit code \(code)")
    case .tooMuchMemory: return .crashed("out of memory")
    }
  }

  /// Words without what differs from run to run.
  private static func normalized(_ line: String) -> String {
    line.replacing(#/0x[0-9a-fA-F]+/#, with: "ADDRESS").replacing(#/==[0-9]+==/#, with: "").trimmingCharacters(in: .whitespaces)
  }
}
