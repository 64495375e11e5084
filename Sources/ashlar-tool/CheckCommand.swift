import ArgumentParser
import AshlarSuite

struct CheckCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "check",
    abstract: "Runs the battery of checks on the allocator, in a minute or two, or on another one.",
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

  @Option(help: ArgumentHelp(
    "Check the C functions of another allocator, a shared library or libc, each in a process of its own.", valueName: "path"))
  var malloc: String?

  @Option(help: ArgumentHelp("With --malloc: a check that takes longer has hung.", valueName: "seconds"))
  var limit = 300.0

  @Option(help: ArgumentHelp("Do this share of the usual work, above 0 to 1: for builds in which every step takes long.", valueName: "share"))
  var share = 1.0

  @Option(help: ArgumentHelp("Write the results as JUnit XML, after every check.", valueName: "file"))
  var junit: String?

  @Option(help: ArgumentHelp("Write the results as an HTML page, after every check.", valueName: "file"))
  var html: String?

  func validate() throws {
    guard (0...100_000).contains(minutes) else { throw ValidationError("--minutes takes 0 to 100000.") }
    guard limit > 0 else { throw ValidationError("--limit takes a positive number of seconds.") }
    guard share > 0, share <= 1 else { throw ValidationError("--share takes a number above 0, to 1.") }
    if malloc != nil, share != 1 { throw ValidationError("--share is for Ashlar's own checks.") }
    if let malloc { _ = try AllocatorLibrary(orRefuse: malloc) }
    _ = try names()
  }

  /// A check by its name, wherever it runs.
  private typealias Run = (_ name: String, _ seed: UInt64, _ console: Console) throws -> Check.Outcome

  private var available: [(name: String, summary: String)] {
    malloc == nil ? Battery.checks.map { ($0.name, $0.summary) } : LibraryBattery.checks
  }

  private func names() throws -> [String] {
    let chosen = try only.map { try names(in: $0, for: "--only") } ?? available.map(\.name)
    let excluded = try except.map { try names(in: $0, for: "--except") } ?? []
    let left = available.map(\.name).filter { chosen.contains($0) && !excluded.contains($0) }
    guard !left.isEmpty else { throw ValidationError("--except leaves no check to run.") }
    return left
  }

  private func names(in list: String, for option: String) throws -> [String] {
    let names = list.split(separator: ",").map(String.init)
    guard !names.isEmpty else { throw ValidationError("\(option) takes the name of a check; --list shows them.") }
    for name in names where !available.contains(where: { $0.name == name }) {
      throw ValidationError("No check is named '\(name)'; --list shows them.")
    }
    return names
  }

  private func runner() throws -> Run {
    guard let malloc else {
      return { name, seed, console in
        Battery.check(named: name)!.run(seed: seed, share: share) { console.progress("\(name) \(Int($0 * 100)) %") }
      }
    }
    let battery = LibraryBattery(try AllocatorLibrary(orRefuse: malloc), program: ownProgram, seconds: limit)
    return { name, seed, console in
      console.progress(name)
      return try complete { try battery.run(name, seed: seed) }
    }
  }

  func run() throws {
    if list {
      for check in available { print(check.name.padded(to: 20) + check.summary) }
      return
    }
    let first = seed ?? UInt64.random(in: 0...UInt64(UInt32.max))
    let console = Console()
    let clock = ContinuousClock()
    let end = clock.now + .seconds(60 * minutes)
    let reports = try Reports(junit: junit, html: html)
    var summary = RunSummary(arguments: malloc.map { "--malloc \($0) " } ?? "")
    let run = try runner()
    var round: UInt64 = 0
    repeat {
      let seed = first &+ round
      console.line("seed \(seed)")
      for name in try names() {
        try reports.write(summary, running: (name, seed))
        let outcome = try run(name, seed, console)
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
