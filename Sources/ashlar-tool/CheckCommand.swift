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

  @Option(help: "Repeat the run that printed this seed.")
  var seed: UInt64?

  @Option(help: "Go on with new seeds for this many minutes.")
  var minutes: Int = 0

  func validate() throws {
    guard (0...100_000).contains(minutes) else { throw ValidationError("--minutes takes 0 to 100000.") }
    _ = try selection()
  }

  private func selection() throws -> [Check] {
    guard let only else { return Battery.checks }
    let names = only.split(separator: ",").map(String.init)
    guard !names.isEmpty else { throw ValidationError("--only takes the name of a check; --list shows them.") }
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
    var summary = RunSummary()
    var round: UInt64 = 0
    repeat {
      let seed = first &+ round
      console.line("seed \(seed)")
      for check in try selection() {
        let outcome = check.run(seed: seed, scale: 1) { console.progress("\(check.name) \(Int($0 * 100)) %") }
        summary.add(outcome, seed: seed)
        console.line(outcome.line)
      }
      round += 1
    } while clock.now < end
    console.line("")
    summary.lines.forEach(console.line)
    if !summary.passed { throw ExitCode(1) }
  }
}
