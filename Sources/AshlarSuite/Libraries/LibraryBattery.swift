import Foundation

/// Runs the checks of a library, each in a process of its own, which may die or hang.
public struct LibraryBattery: Sendable {
  private let library: AllocatorLibrary
  private let program: URL
  private let seconds: Double

  /// - Parameters:
  ///   - program: the `ashlar` program.
  ///   - seconds: how long a check may take before it counts as hung.
  public init(_ library: AllocatorLibrary, program: URL, seconds: Double) {
    self.library = library
    self.program = program
    self.seconds = seconds
  }

  /// Names and summaries, in the order in which they run.
  public static let checks: [(name: String, summary: String)] =
    Check.ofLibrary(.ashlar).map { ($0.name, $0.summary) }
    + [("misuse", "\(MisuseScenario.all.count) misuses and what came of each: figures, for what is misused may do anything")]

  /// - Throws: `MissingLibrary`.
  public func run(_ name: String, seed: UInt64) throws -> Check.Outcome {
    if name == "misuse" { return try misuse() }
    let result = try LibraryTask(.check, name, seed: seed).run(library, program: program, seconds: seconds)
    if result.run.end == .exit(LibraryTask.isMissing) { throw MissingLibrary(library: library, words: result.run.firstLine) }
    var findings = result.journal.lines(.finding) + (Self.finding(result).map { [$0] } ?? [])
    if name == "programs", !findings.isEmpty { findings[0] += try shortened(seed: seed, result.journal[.rounds]) }
    return Check.Outcome(
      name: name, rounds: result.journal[.rounds], seconds: result.run.seconds, findings: findings,
      note: result.journal.lines(.note).last ?? "")
  }

  /// What is wrong with how a child ended; nil when nothing is.
  private static func finding(_ result: LibraryTask.Result) -> String? {
    let calls = result.journal.callsUnderWay
    let place = calls.isEmpty ? "" : ", " + calls.prefix(4).joined(separator: " and ")
    let words = result.run.firstLine.isEmpty ? "" : ": \(result.run.firstLine)"
    switch result.run.end {
    case .exit(0), .exit(LibraryTask.found):
      return result.journal[.isDone] == 1 ? nil : "ended before it was done\(place)\(words)"
    case .exit(let code): return "ended with exit code \(code)\(place)\(words)"
    case .signal(let number): return "died of signal \(number)\(place)\(words)"
    case .timeout: return "hung: not done after \(Int(result.run.seconds)) s\(place)\(words)"
    case .tooMuchMemory: return "took more memory than it was asked for\(place)"
    }
  }

  // MARK: Programs

  private static let shrinkSeconds = 60.0

  /// The shortest program that still fails, made of the one with this number, each try in a child of its own.
  private func shortened(seed: UInt64, _ index: Int) throws -> String {
    let path = FileManager.default.temporaryDirectory.appending(path: "ashlar-\(UUID().uuidString)").path
    defer { unlink(path) }
    let clock = ContinuousClock()
    let end = clock.now + .seconds(Self.shrinkSeconds)
    let grammar = FuzzTarget.libraryGrammar
    func fails(_ program: [Step]) -> Bool {
      guard clock.now < end, (try? grammar.text(program).write(toFile: path, atomically: true, encoding: .utf8)) != nil,
        let result = try? LibraryTask(.program, path).run(library, program: self.program, seconds: min(seconds, 10))
      else { return false }
      return !result.passed
    }
    let program = Check.program(seed: seed, index)
    guard fails(program) else { return "\n  program \(index) does not fail by itself, only after those before it" }
    let shortest = Shrinker.shrink(program, in: grammar, fails: fails)
    let lines = grammar.text(shortest).split(separator: "\n").map { "\n    \($0)" }
    return "\n  the shortest program that still fails:" + lines.joined()
  }

  // MARK: Misuse

  private func misuse() throws -> Check.Outcome {
    let clock = ContinuousClock()
    let begin = clock.now
    let column = try MisuseMatrix.column(library, program: program, jobs: ProcessInfo.processInfo.activeProcessorCount) { _ in }
    return Check.Outcome(
      name: "misuse", rounds: column.verdicts.count, seconds: (clock.now - begin) / .seconds(1), findings: [], note: column.summary)
  }
}

extension ChildProcess.Run {
  /// The first line that a library printed, without the blanks around it. Swift's runtime has words of its own.
  var firstLine: String {
    output.split(whereSeparator: \.isNewline).map { $0.trimmingCharacters(in: .whitespaces) }
      .first { !$0.isEmpty && !$0.contains("Fatal error") } ?? ""
  }
}
