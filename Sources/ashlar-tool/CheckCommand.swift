import ArgumentParser
import AshlarSuite

struct CheckCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "check",
    abstract: "Runs the battery of checks on the allocator, in about a minute.",
    discussion: "Exit code: 0 when every check passes, 1 when one finds something, 64 for arguments that make no sense.")

  @Flag(help: "List the checks and stop.")
  var list = false

  @Option(help: ArgumentHelp("Run these checks only.", valueName: "name,name"))
  var only: String?

  @Option(help: ArgumentHelp("Run all but these checks.", valueName: "name,name"))
  var except: String?

  @Option(help: "Repeat the run that printed this seed.")
  var seed: UInt64?

  @Option(help: "Go on with new seeds for this many minutes.")
  var minutes: Int = 0

  @Option(help: ArgumentHelp("Do this share of the usual work, above 0 to 1: for builds in which every step takes long.", valueName: "share"))
  var share = 1.0

  @Option(help: ArgumentHelp("Write the results as JUnit XML, after every check.", valueName: "file"))
  var junit: String?

  @Option(help: ArgumentHelp("Write the results as an HTML page, after every check.", valueName: "file"))
  var html: String?

  func validate() throws {
    guard (0...100_000).contains(minutes) else { throw ValidationError("--minutes takes 0 to 100000.") }
    guard share > 0, share <= 1 else { throw ValidationError("--share takes a number above 0, to 1.") }
    _ = try selection()
  }

  private func selection() throws -> [Check] {
    let chosen = try only.map { try checks(named: $0, for: "--only") } ?? Battery.checks
    let excluded = try except.map { try checks(named: $0, for: "--except") } ?? []
    let left = chosen.filter { check in !excluded.contains { $0.name == check.name } }
    guard !left.isEmpty else { throw ValidationError("--except leaves no check to run.") }
    return left
  }

  private func checks(named list: String, for option: String) throws -> [Check] {
    let names = list.split(separator: ",").map(String.init)
    guard !names.isEmpty else { throw ValidationError("\(option) takes the name of a check; --list shows them.") }
    switch Battery.checks(named: names) {
    case .success(let checks): return checks
    case .failure(let unknown): throw ValidationError("No check is named '\(unknown.name)'; --list shows them.")
    }
  }

  func run() throws {
    if list {
      for check in Battery.checks { print(check.name.padded(to: 20) + check.summary) }
      return
    }
    let first = seed ?? UInt64.random(in: 0...UInt64(UInt32.max))
    let console = Console()
    let clock = ContinuousClock()
    let end = clock.now + .seconds(60 * minutes)
    let reports = try Reports(junit: junit, html: html)
    var summary = RunSummary()
    var round: UInt64 = 0
    repeat {
      let seed = first &+ round
      console.line("seed \(seed)")
      for check in try selection() {
        try reports.write(summary, running: (check.name, seed))
        let outcome = check.run(seed: seed, share: share) { console.progress("\(check.name) \(Int($0 * 100)) %") }
        summary.add(outcome, seed: seed)
        console.line(outcome.line)
      }
      round += 1
    } while clock.now < end
    try reports.write(summary, running: nil)
    console.line("")
    summary.lines.forEach(console.line)
    if !summary.passed { throw ExitCode(1) }
  }
}
