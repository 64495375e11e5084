import ArgumentParser
import AshlarMutants
import AshlarSuite
import Foundation

struct MutantsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "mutants",
    abstract: "Seeds known defects into a copy of the allocator, one at a time: the suite must find each.",
    discussion: """
      Run it in the package's folder. The copy lies in .build-mutants and is built once; see docs/mutants.md. With
      --generated the defects are made by rule, and may survive where Mutants/generated/survivors.txt says why.
      Exit code: 0 when every defect is found, 1 when another survives or the suite is not clean without any, 64 for arguments
      that make no sense.
      """)

  @Flag(help: "List the defects and stop.")
  var list = false

  @Flag(help: "Write the copy with every defect, without building it, and stop.")
  var write = false

  @Flag(help: "Seed defects that are made by rule over the allocator's files, in place of the known ones.")
  var generated = false

  @Option(help: ArgumentHelp("So many of the generated defects, the same share of each file; all without it.", valueName: "count"))
  var sample: Int?

  @Option(help: ArgumentHelp("Another sample for another number.", valueName: "number"))
  var seed: UInt64 = 1

  @Option(help: ArgumentHelp("The third of eight parts of the generated defects for 3/8: together they are all.", valueName: "part/parts"))
  var part: Part?

  @Option(help: ArgumentHelp("Seed these defects only.", valueName: "name,name"))
  var only: String?

  @Option(help: ArgumentHelp("Seconds for each defect.", valueName: "seconds"))
  var seconds = 60.0

  @Option(help: ArgumentHelp("So many defects at a time.", valueName: "count"))
  var jobs = 1

  @Flag(help: "Show that the normal sources hold nothing of it, and that the suite passes on the copy with no defect chosen.")
  var machineCode = false

  func validate() throws {
    guard seconds > 0, (1...256).contains(jobs), sample ?? 1 > 0 else {
      throw ValidationError("--seconds, --jobs and --sample take a positive number.")
    }
    if sample != nil || part != nil, !generated { throw ValidationError("--sample and --part are for --generated.") }
    if [sample != nil, part != nil, only != nil].filter(\.self).count > 1 { throw ValidationError("--sample, --part or --only, one of them.") }
  }

  func run() throws {
    let root = URL(filePath: FileManager.default.currentDirectoryPath)
    let defects = try defects(root)
    if list {
      for defect in defects { print(defect.name.padded(to: 32) + defect.kinds.joined(separator: ", ").padded(to: 16) + defect.effect) }
      return
    }
    let console = Console()
    if machineCode { try requireCleanSources(root, console) }
    let package = try package(root, defects, console)
    if write { return }
    let chosen = try selection(package.defects)
    console.line("building \(package.defects.count) defects in \(package.copy.path)")
    if let errors = try package.build() {
      console.line(errors)
      throw ExitCode(1)
    }
    if machineCode { try requireCleanProgram(package, console) }
    let hunt = try Hunt(
      package, models: Model.all.map(\.name), checks: Battery.checks.map(\.name), secondsEach: seconds,
      isBrief: !machineCode, progress: console.progress)
    console.line("with no defect chosen the suite is clean")
    if machineCode { return }
    let verdicts = try hunted(chosen, hunt, console)
    if !generated { printTable(verdicts, console) }
    let unexplained = try Self.unexplained(verdicts, generated ? SurvivorList.read(root: root) : [], console)
    if unexplained > 0 { throw ExitCode(1) }
  }

  private func defects(_ root: URL) throws -> [Defect] {
    if !generated { return try DefectList.read(root: root) }
    let defects = try Generator.defects(root: root)
    // So many are long in building: those that are named are seeded alone.
    if let only { return try Self.named(only, of: defects) }
    if let part { return Sample.part(part.number, of: part.count, from: defects) }
    return sample.map { Sample(count: $0, seed: seed).taken(from: defects) } ?? defects
  }

  private func package(_ root: URL, _ defects: [Defect], _ console: Console) throws -> MutantPackage {
    if generated {
      let all = MutantPackage(root: root, defects: defects, folder: ".build-mutants-generated")
      let package = try all.compiling(progress: console.line)
      console.line("\(defects.count) defects generated, \(defects.count - package.defects.count) of them no Swift and left out")
      return package
    }
    let package = MutantPackage(root: root, defects: defects)
    try package.write()
    return package
  }

  private func selection(_ defects: [Defect]) throws -> [Defect] {
    guard let only, !generated else { return defects }
    return try Self.named(only, of: defects)
  }

  private static func named(_ names: String, of defects: [Defect]) throws -> [Defect] {
    try names.split(separator: ",").map { name in
      guard let defect = defects.first(where: { $0.name == name }) else {
        throw ValidationError("No defect is named '\(name)'; --list shows them.")
      }
      return defect
    }
  }

  private func hunted(_ defects: [Defect], _ hunt: Hunt, _ console: Console) throws -> [Hunt.Verdict] {
    let results = Results(count: defects.count)
    DispatchQueue.concurrentPerform(iterations: min(jobs, defects.count)) { job in
      for index in stride(from: job, to: defects.count, by: min(jobs, defects.count)) {
        let result = Result { try hunt.verdict(defects[index], progress: console.progress) }
        results.set(index, result)
        if case .success(let verdict) = result { console.line(verdict.line) }
      }
    }
    return try results.all()
  }

  private func printTable(_ verdicts: [Hunt.Verdict], _ console: Console) {
    console.line("\n| defect | class | found by | seconds |\n|---|---|---|---|")
    for verdict in verdicts {
      let killer = verdict.kill.map { "`\($0.killer)`" } ?? "**survives**"
      console.line("| \(verdict.defect.name) | \(verdict.defect.kinds.joined(separator: ", ")) | \(killer) | \(tenths(verdict.seconds)) |")
    }
  }

  // Says what survived, and answers how many for no reason that is listed.
  private static func unexplained(_ verdicts: [Hunt.Verdict], _ listed: [SurvivorList.Survivor], _ console: Console) -> Int {
    let survivors = verdicts.filter { $0.kill == nil }.map(\.defect)
    let unexplained = survivors.filter { defect in !listed.contains { $0.isStill(defect) } }
    let found = verdicts.count - survivors.count
    let share = tenths(100 * Double(found) / Double(max(1, verdicts.count)))
    console.line("\n\(verdicts.count) defects seeded, \(found) found (\(share) %), \(survivors.count) survived")
    if let slowest = verdicts.filter({ $0.kill != nil }).max(by: { $0.seconds < $1.seconds }) {
      console.line("the longest took \(tenths(slowest.seconds)) s: \(slowest.defect.name)")
    }
    for verdict in verdicts where verdict.kill != nil && listed.contains(where: { $0.isStill(verdict.defect) }) {
      console.line("listed as a survivor and found: \(verdict.defect.name)")
    }
    for defect in survivors where !unexplained.contains(where: { $0.name == defect.name }) {
      console.line("survived, as listed: \(defect.name)")
    }
    unexplained.forEach { console.line("SURVIVED \($0.name): \($0.effect)") }
    return unexplained.count
  }

  private func requireCleanSources(_ root: URL, _ console: Console) throws {
    for folder in ["Sources/Ashlar", "Sources/CAshlar"] {
      for path in try FileManager.default.subpathsOfDirectory(atPath: root.appending(path: folder).path) {
        guard let text = try? String(contentsOf: root.appending(path: "\(folder)/\(path)"), encoding: .utf8) else { continue }
        for word in ["Defect", "ashlar_defect", "ASHLAR_DEFECT"] where text.contains(word) {
          console.line("\(folder)/\(path) names \(word)")
          throw ExitCode(1)
        }
      }
    }
    console.line("the normal sources hold no trace of a defect or its switch")
  }

  private func requireCleanProgram(_ package: MutantPackage, _ console: Console) throws {
    // That of the copy shows that there is something to be seen.
    for (program, expected) in [(URL(filePath: "/proc/self/exe"), false), (package.program, true)] {
      guard try MutantPackage.isSwitchable(program) == expected else {
        console.line("\(program.path) \(expected ? "lacks" : "has") the switch")
        throw ExitCode(1)
      }
    }
    console.line("this program's machine code has no switch, the copy's has")
  }
}

/// 3/8, for one.
struct Part: ExpressibleByArgument {
  let number: Int
  let count: Int

  init?(argument: String) {
    let numbers = argument.split(separator: "/", omittingEmptySubsequences: false).map { Int($0) }
    guard numbers.count == 2, let number = numbers[0], let count = numbers[1], number >= 1, number <= count else { return nil }
    (self.number, self.count) = (number, count)
  }
}

/// Verdicts that several threads come to.
private final class Results: @unchecked Sendable {
  private let lock = NSLock()
  private var results: [Result<Hunt.Verdict, any Error>?]

  init(count: Int) { results = Array(repeating: nil, count: count) }

  func set(_ index: Int, _ result: Result<Hunt.Verdict, any Error>) { lock.withLock { results[index] = result } }
  func all() throws -> [Hunt.Verdict] { try lock.withLock { try results.compactMap { try $0?.get() } } }
}

extension Hunt.Verdict {
  /// A line for when it is known.
  fileprivate var line: String {
    guard let kill else { return "SURVIVED " + defect.name.padded(to: 32) + "\(tenths(seconds).aligned(to: 6)) s" }
    return "found    " + defect.name.padded(to: 32) + "\(tenths(seconds).aligned(to: 6)) s  \(kill.killer): \(kill.how)\n         \(kill.replay)"
  }
}
