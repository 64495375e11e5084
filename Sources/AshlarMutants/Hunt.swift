import AshlarSuite
import Foundation

/// The suite, run against one defect after the other.
public struct Hunt: Sendable {
  /// What became of a defect.
  public struct Verdict: Sendable {
    public let defect: Defect
    /// What found it, and how; nil for a survivor.
    public let kill: Kill?
    public let seconds: Double
  }

  public struct Kill: Sendable {
    public let killer: Killer
    /// In a few words.
    public let how: String
    /// What to type to see it again.
    public let replay: String
  }

  /// A part of the suite, with how long it takes where nothing is wrong.
  private struct Step: Sendable {
    let killer: Killer
    let isShort: Bool
    let seconds: Double
    /// The defects whose places it comes to: no other can it find.
    let reached: Set<String>
    var isModel: Bool { if case .model = killer { true } else { false } }
    /// What it takes for each place to be looked at: one that comes to few looks closely, and is worth its time.
    var cost: Double { seconds * Double(reached.count) }
  }

  public let program: URL
  public let secondsEach: Double
  private let steps: [Step]
  private let kills = Kills()

  /// Runs the suite with no defect chosen, to see that it is clean and how long each part takes.
  ///
  /// - Parameter isBrief: leave out what takes longer than there is time for a defect.
  /// - Throws: what is not clean.
  public init(
    _ package: MutantPackage, models: [String], checks: [String], secondsEach: Double, isBrief: Bool, progress: (String) -> Void
  ) throws {
    let program = package.program
    let places = try Places(package.defects.map(\.name))
    self.program = program
    self.secondsEach = secondsEach
    var steps: [Step] = []
    for (killer, isShort) in models.map({ (Killer.model($0), true) }) + checks.map({ (Killer.check($0), false) }) {
      progress("no defect: \(killer)")
      let run = try Self.run(program, killer, isShort: isShort, defect: "", places: places.file, seconds: isBrief ? secondsEach : 600)
      if isBrief, run.end == .timeout { continue }
      if let kill = Self.kill(run, killer, defect: "", program) { throw NotClean(description: "no defect, \(killer): \(kill.how)\n\(run.output)") }
      // The check of leaks is a part of every other.
      let reached = try places.take()
      if killer != .check("leaks") { steps.append(Step(killer: killer, isShort: isShort, seconds: run.seconds, reached: reached)) }
    }
    self.steps = steps.sorted { $0.cost < $1.cost }
  }

  public struct NotClean: Error, CustomStringConvertible {
    public let description: String
  }

  /// Runs the suite against a defect until something finds it.
  public func verdict(_ defect: Defect, progress: (String) -> Void) throws -> Verdict {
    let clock = ContinuousClock()
    let begin = clock.now
    func seconds() -> Double { (clock.now - begin) / .seconds(1) }
    for step in defect.killers.flatMap(expected) + untried(defect) {
      let left = secondsEach - seconds()
      // What can't end in the time that is left can't tell either.
      if left < 1 || step.seconds > left { continue }
      progress("\(defect.name): \(step.killer)")
      let usual = max(step.isModel && !step.isShort ? 45 : 10, 4 * step.seconds)
      let run = try Self.run(program, step.killer, isShort: step.isShort, defect: defect.name, seconds: min(left, usual))
      // How long a model takes in full is not known; a check that is cut short may just be slow.
      let mayHang = usual <= left && (step.isShort || !step.isModel)
      if let kill = Self.kill(run, step.killer, defect: defect.name, program, mayHang: mayHang),
        try run.end != .timeout || endsWithout(step, within: min(left, usual)) {
        kills.count(step.killer, in: defect.file)
        return Verdict(defect: defect, kill: kill, seconds: seconds())
      }
    }
    return Verdict(defect: defect, kill: nil, seconds: seconds())
  }

  // Where the machine is too busy for the part to end at all, its not ending tells nothing.
  private func endsWithout(_ step: Step, within seconds: Double) throws -> Bool {
    try Self.run(program, step.killer, isShort: step.isShort, defect: "", seconds: seconds / 2).end == .exit(0)
  }

  // A model in short, and then in full, which finds more.
  private func expected(_ killer: Killer) -> [Step] {
    guard let step = steps.first(where: { $0.killer == killer }) else { return [] }
    return step.isModel ? [step, Step(killer: killer, isShort: false, seconds: step.seconds, reached: step.reached)] : [step]
  }

  // What has found most in the same file comes first, then what costs least.
  private func untried(_ defect: Defect) -> [Step] {
    let counts = kills.counts(defect.file)
    let able = steps.filter { $0.reached.contains(defect.name) && !defect.killers.contains($0.killer) }
    return able.filter { counts[$0.killer] != nil }.sorted { counts[$0.killer, default: 0] > counts[$1.killer, default: 0] }
      + able.filter { counts[$0.killer] == nil }
  }

  // MARK: One run

  private static let seed = 1
  // Of the short form of a model, in seconds.
  private static let modelLimit = 5

  private static func arguments(_ killer: Killer, isShort: Bool) -> [String] {
    switch killer {
    case .model(let name): ["explore", name] + (isShort ? ["--preemptions", "2", "--limit", "\(modelLimit)"] : [])
    // What is still live at the end is a finding too.
    case .check(let name): ["check", "--only", name == "leaks" ? name : "\(name),leaks", "--seed", "\(seed)"]
    }
  }

  private static func run(
    _ program: URL, _ killer: Killer, isShort: Bool, defect: String, places: URL? = nil, seconds: Double
  ) throws -> ChildProcess.Run {
    try ChildProcess.run(
      program, arguments(killer, isShort: isShort), environment: ["ASHLAR_DEFECT": defect, "ASHLAR_REACHED": places?.path ?? ""],
      seconds: seconds)
  }

  private static func kill(
    _ run: ChildProcess.Run, _ killer: Killer, defect: String, _ program: URL, mayHang: Bool = true
  ) -> Kill? {
    let how: String
    switch run.end {
    case .exit(0): return nil
    case .exit(64): preconditionFailure("arguments of our own make no sense: \(run.output)")
    case .exit: how = words(run.output)
    case .signal(let number): how = "dies of signal \(number)"
    case .tooMuchMemory: how = "takes all memory"
    case .timeout:
      if !mayHang { return nil }
      how = "hangs"
    }
    return Kill(killer: killer, how: how, replay: "ASHLAR_DEFECT=\(defect) \(shortened(program)) \(replay(run.output, killer))")
  }

  private static func replay(_ output: String, _ killer: Killer) -> String {
    let lines = output.split(separator: "\n")
    if let line = lines.first(where: { $0.hasPrefix("run it again: ashlar ") }) {
      // What fails without any choice has an empty schedule.
      return String(line.dropFirst("run it again: ashlar ".count)).replacing("--replay  ", with: "--replay '' ")
    }
    return arguments(killer, isShort: false).joined(separator: " ")
  }

  private static func shortened(_ program: URL) -> String {
    let folder = FileManager.default.currentDirectoryPath + "/"
    return program.path.hasPrefix(folder) ? String(program.path.dropFirst(folder.count)) : program.path
  }

  // A finding is told in a line of its own; a model's in the line after its row.
  private static func words(_ output: String) -> String {
    let lines = output.split(separator: "\n").map(String.init)
    if let finding = lines.firstIndex(where: { $0.hasPrefix("  repeat with:") }), finding > 0 { return lines[finding - 1] }
    if let row = lines.firstIndex(where: { $0.hasPrefix("FAILED ") }), row + 1 < lines.count { return lines[row + 1] }
    return lines.last ?? "ends with an error"
  }
}

/// How often which part of the suite found something in which file.
private final class Kills: @unchecked Sendable {
  private let lock = NSLock()
  private var counted: [String: [Killer: Int]] = [:]

  func count(_ killer: Killer, in file: String) { lock.withLock { counted[file, default: [:]][killer, default: 0] += 1 } }
  func counts(_ file: String) -> [Killer: Int] { lock.withLock { counted[file, default: [:]] } }
}

/// The places that a run of the suite comes to: a file with a byte for each defect's number.
private final class Places {
  let file = FileManager.default.temporaryDirectory.appending(path: "ashlar-places-\(UUID().uuidString)")
  private let names: [String]

  init(_ names: [String]) throws {
    self.names = names
    try clear()
  }

  deinit { try? FileManager.default.removeItem(at: file) }

  /// The defects whose places were come to since the last call.
  func take() throws -> Set<String> {
    let bytes = try Data(contentsOf: file)
    try clear()
    return Set(names.enumerated().filter { bytes[$0.offset + 1] != 0 }.map(\.element))
  }

  private func clear() throws { try Data(count: names.count + 1).write(to: file) }
}
