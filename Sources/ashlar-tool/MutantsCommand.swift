import ArgumentParser
import AshlarMutants
import AshlarSuite
import Foundation

struct MutantsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "mutants",
    abstract: "Seeds known defects into a copy of the allocator, one at a time: the suite must find each.",
    discussion: """
      Run it in the package's folder. The copy lies in .build-mutants and is built once; see docs/mutants.md.
      Exit code: 0 when every defect is found, 1 when one survives or the suite is not clean without any, 64 for arguments
      that make no sense.
      """)

  @Flag(help: "List the defects and stop.")
  var list = false

  @Flag(help: "Write the copy with every defect, without building it, and stop.")
  var write = false

  @Option(help: ArgumentHelp("Seed these defects only.", valueName: "name,name"))
  var only: String?

  @Option(help: ArgumentHelp("Seconds for each defect.", valueName: "seconds"))
  var seconds = 60.0

  @Option(help: ArgumentHelp("So many defects at a time.", valueName: "count"))
  var jobs = 1

  @Flag(help: "Show that the normal sources hold nothing of it, and that the suite passes on the copy with no defect chosen.")
  var machineCode = false

  func validate() throws {
    guard seconds > 0, (1...256).contains(jobs) else { throw ValidationError("--seconds and --jobs take a positive number.") }
  }

  func run() throws {
    let root = URL(filePath: FileManager.default.currentDirectoryPath)
    let defects = try DefectList.read(root: root)
    if list {
      for defect in defects { print(defect.name.padded(to: 32) + defect.kinds.joined(separator: ", ").padded(to: 16) + defect.effect) }
      return
    }
    let chosen = try selection(defects)
    let console = Console()
    if machineCode { try requireCleanSources(root, console) }
    let package = MutantPackage(root: root, defects: defects)
    try package.write()
    if write { return }
    console.line("building \(defects.count) defects in \(package.copy.path)")
    if let errors = try package.build() {
      console.line(errors)
      throw ExitCode(1)
    }
    let hunt = try Hunt(
      program: package.program, models: Model.all.map(\.name), checks: Battery.checks.map(\.name), secondsEach: seconds,
      isBrief: only != nil, progress: console.progress)
    console.line("with no defect chosen the suite is clean")
    if machineCode { return }
    let verdicts = try hunted(chosen, hunt, console)
    report(verdicts, console)
    if verdicts.contains(where: { $0.kill == nil }) { throw ExitCode(1) }
  }

  private func selection(_ defects: [Defect]) throws -> [Defect] {
    guard let only else { return defects }
    return try only.split(separator: ",").map { name in
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

  private func report(_ verdicts: [Hunt.Verdict], _ console: Console) {
    console.line("\n| defect | class | found by | seconds |\n|---|---|---|---|")
    for verdict in verdicts {
      let killer = verdict.kill.map { "`\($0.killer)`" } ?? "**survives**"
      console.line("| \(verdict.defect.name) | \(verdict.defect.kinds.joined(separator: ", ")) | \(killer) | \(tenths(verdict.seconds)) |")
    }
    let survivors = verdicts.filter { $0.kill == nil }
    console.line("\n\(verdicts.count) defects seeded, \(verdicts.count - survivors.count) found, \(survivors.count) survived")
    if let slowest = verdicts.max(by: { $0.seconds < $1.seconds }) {
      console.line("the longest took \(tenths(slowest.seconds)) s: \(slowest.defect.name)")
    }
    survivors.forEach { console.line("SURVIVED \($0.defect.name): \($0.defect.effect)") }
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
