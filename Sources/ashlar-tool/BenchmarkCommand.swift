import ArgumentParser
import AshlarBenchmarks
import Foundation

/// Which allocators are measured, as the commands that measure take it.
struct AllocatorOptions: ParsableArguments {
  @Option(help: ArgumentHelp("Measure this library too; may be repeated.", valueName: "name=path.so"))
  var peer: [String] = []

  @Option(help: ArgumentHelp("Ashlar's library, instead of the one that scripts/preload builds.", valueName: "path.so"))
  var library: String?

  func validate() throws {
    for argument in peer where Allocator(argument: argument) == nil {
      throw ValidationError("--peer takes a name and a library that is there, as NAME=PATH, not '\(argument)'.")
    }
    if let library { try requireFile(library, "--library") }
  }

  func requireFile(_ path: String, _ option: String) throws {
    guard FileManager.default.isReadableFile(atPath: path) else { throw ValidationError("\(option): there is no file '\(path)'.") }
  }

  func ashlar(root: URL) throws -> Allocator { try Allocator.ashlar(root: root, library: library) }
  func peers(root: URL) throws -> [Allocator] { try Allocator.installed(root: root) + peer.compactMap { Allocator(argument: $0) } }
}

struct BenchmarkCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "benchmark",
    abstract: "Measures Ashlar beside other allocators, in turns, and writes a table and a chart.",
    discussion: """
      Run it in the package's folder. The others are what scripts/peers finds (with --install it installs them). On a quiet
      machine a full run takes a quarter of an hour. A run that other processes disturbed is repeated.
      Exit code: 0 when all was measured, 1 when something could not be, 64 for arguments that make no sense.
      """)

  @Flag(help: "List the workloads and stop.")
  var list = false

  @Option(help: ArgumentHelp("Only these workloads, and of the counts 'system-calls' and 'instructions'.", valueName: "name,name"))
  var only: String?

  @Option(help: "Runs of each workload under each allocator.")
  var rounds = 9

  @Option(help: ArgumentHelp("Processor time of a run, for each thread.", valueName: "seconds"))
  var seconds = 0.2

  @Option(help: "How often a disturbed run is repeated at most.")
  var repeats = 3

  @Option(help: "Compare by 'wall' time, or by 'processor' time where the machine is not quiet.")
  var clock = Run.Clock.wall

  @Option(help: ArgumentHelp("Compare with this build of Ashlar, and with nothing else.", valueName: "path.so"))
  var against: String?

  @OptionGroup var allocators: AllocatorOptions

  @Option(help: ArgumentHelp("Where report.md, report.html and runs.csv are written.", valueName: "folder"))
  var output = ".build-benchmarks"

  func validate() throws {
    guard rounds > 0, seconds > 0, repeats >= 0 else { throw ValidationError("--rounds and --seconds take a positive number.") }
    if let against { try allocators.requireFile(against, "--against") }
  }

  func run() throws {
    let root = URL(filePath: FileManager.default.currentDirectoryPath)
    let program = try WorkloadProgram(root: root)
    if list {
      for workload in program.workloads { print(workload.name.padded(to: 22) + workload.summary) }
      for (name, summary) in Self.counts { print(name.padded(to: 22) + summary) }
      return
    }
    let chosen = try selection(program)
    let ashlar = try allocators.ashlar(root: root)
    let peers = try against.map { [Allocator(name: "other build", library: $0)] } ?? allocators.peers(root: root)
    guard !peers.isEmpty else { throw ValidationError("There is nothing to compare with; scripts/peers --install installs what Debian has.") }
    let report = try measured(program, chosen, ashlar, peers, Counts(program: program, root: root))
    try write(report)
    let missing = chosen.workloads.count - report.comparison.rows.count
    if missing > 0 {
      print("\(missing) workloads did not run")
      throw ExitCode(1)
    }
  }

  private static let counts = [
    ("system-calls", "for 100,000 operations of mixed-1024, counted by strace"),
    ("instructions", "of a malloc and free pair, counted by valgrind (scripts/hot-path)"),
  ]

  private struct Selection {
    var workloads: [Workload] = []
    var counts = Set<String>()
  }

  private func selection(_ program: WorkloadProgram) throws -> Selection {
    guard let only else { return Selection(workloads: program.workloads, counts: Set(Self.counts.map(\.0))) }
    var selection = Selection()
    for name in only.split(separator: ",") {
      if let workload = program.workloads.first(where: { $0.name == name }) {
        selection.workloads.append(workload)
      } else if Self.counts.contains(where: { $0.0 == name }) {
        selection.counts.insert(String(name))
      } else {
        throw ValidationError("No workload is named '\(name)'; --list shows them.")
      }
    }
    return selection
  }

  private func measured(
    _ program: WorkloadProgram, _ chosen: Selection, _ ashlar: Allocator, _ peers: [Allocator], _ counts: Counts
  ) throws -> BenchmarkReport {
    let console = Console()
    let all = [ashlar] + peers
    let benchmark = Benchmark(program: program, allocators: all, rounds: rounds, seconds: seconds, repeats: repeats)
    let results = chosen.workloads.map { workload in
      let result = benchmark.measure(workload, progress: console.progress)
      let row = Comparison(subject: ashlar, peers: peers, clock: clock, results: [result]).rows.first
      let ratio = row.map { "\($0.ratio(ashlar)!.digits(2)) of \($0.best.name)" } ?? "failed"
      console.line(workload.name.padded(to: 22) + ratio.padded(to: 20) + "\(result.disturbed) of \(result.count) runs disturbed")
      return result
    }
    var calls: [Allocator: Int] = [:]
    if chosen.counts.contains("system-calls"), let workload = program.workloads.first(where: { $0.name == "mixed-1024" }) {
      console.progress("counting system calls")
      for allocator in all { calls[allocator] = counts.systemCalls(workload, under: allocator) }
    }
    console.progress("counting instructions")
    let instructions = chosen.counts.contains("instructions") ? counts.instructions(all) : nil
    return BenchmarkReport(
      comparison: Comparison(subject: ashlar, peers: peers, clock: clock, results: results),
      conditions: conditions(results, all), instructions: instructions, systemCalls: calls)
  }

  private func conditions(_ results: [Benchmark.Result], _ all: [Allocator]) -> String {
    let runs = results.reduce(0) { $0 + $1.count }
    let disturbed = results.reduce(0) { $0 + $1.disturbed }
    let versions = all.map { $0.version.isEmpty ? $0.name : "\($0.name) \($0.version)" }.joined(separator: ", ")
    return """
      \(versions). \(Disturbance.processors) processors. \(rounds) interleaved rounds of \(seconds.digits(2)) s each, compared by \
      \(clock.rawValue) time. Of \(runs) runs \(disturbed) were disturbed by other processes, each repeated up to \(repeats) times.
      """
  }

  private func write(_ report: BenchmarkReport) throws {
    let folder = URL(filePath: output)
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    for (name, text) in [("report.md", report.markdown), ("report.html", report.html), ("runs.csv", report.csv)] {
      try text.write(to: folder.appending(path: name), atomically: true, encoding: .utf8)
    }
    print("\n\(report.verdict)\n\(folder.appending(path: "report.md").relativePath) and report.html hold the rest")
  }
}

extension Run.Clock: ExpressibleByArgument {}
