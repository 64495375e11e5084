import ArgumentParser
import AshlarSuite
import Foundation

struct MisuseCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "misuse",
    abstract: "Commits every misuse on one allocator after the other, and shows what came of it.",
    discussion: """
      Each in a process of its own, which goes on allocating to see who gets the memory. docs/misuse.md explains the words.
      Without --malloc: Ashlar, Ashlar with all blocks guarded, with all blocks before a page, and the C library.
      Exit code: 0 when the table is complete, 1 when it is not, 64 for arguments that make no sense.
      """)

  @Option(help: ArgumentHelp(
    "An allocator: \(AllocatorLibrary.builtIn.map(\.name).joined(separator: ", ")), or a shared library. May be repeated.",
    valueName: "[name=]path"))
  var malloc: [String] = []

  @Flag(help: "List the misuses and stop.")
  var list = false

  @Flag(help: "Print Markdown, with the words of every report.")
  var markdown = false

  @Option(help: ArgumentHelp("So many processes at a time.", valueName: "count"))
  var jobs = ProcessInfo.processInfo.activeProcessorCount

  func validate() throws {
    guard (1...256).contains(jobs) else { throw ValidationError("--jobs takes 1 to 256.") }
    _ = try libraries()
  }

  private func libraries() throws -> [AllocatorLibrary] {
    malloc.isEmpty ? AllocatorLibrary.builtIn : try malloc.map(AllocatorLibrary.init(orRefuse:))
  }

  func run() throws {
    if list { return MisuseScenario.all.forEach { print($0.name) } }
    let console = Console()
    let columns = try libraries().map { library in
      try complete {
        try MisuseMatrix.column(library, program: ownProgram, jobs: jobs) {
          console.progress("\(library.name) \($0) of \(MisuseScenario.all.count)")
        }
      }
    }
    (markdown ? MisuseTable.markdown(columns) : MisuseTable.plain(columns)).forEach(console.line)
  }
}

/// Columns side by side.
enum MisuseTable {
  static func plain(_ columns: [MisuseMatrix.Column]) -> [String] {
    let names = MisuseScenario.all.map(\.name)
    let width = (names.map(\.count).max() ?? 0) + 2
    let widths = columns.map { max($0.library.count, $0.verdicts.map(\.label.count).max() ?? 0) + 2 }
    func row(_ name: String, _ cells: [String]) -> String {
      name.padded(to: width) + zip(cells, widths).map { $0.padded(to: $1) }.joined()
    }
    return [row("", columns.map(\.library))]
      + names.enumerated().map { index, name in row(name, columns.map { $0.verdicts[index].label }) }
      + [""] + columns.map { "\($0.library): \($0.summary)" }
  }

  /// The table, and then the words of each column's reports.
  static func markdown(_ columns: [MisuseMatrix.Column]) -> [String] {
    let names = MisuseScenario.all.map(\.name)
    func row(_ cells: [String]) -> String { "| " + cells.joined(separator: " | ") + " |" }
    func rule(_ count: Int) -> String { "|" + String(repeating: "---|", count: count) }
    var lines = [row(["misuse"] + columns.map(\.library)), rule(columns.count + 1)]
    lines += names.enumerated().map { index, name in row([name] + columns.map { $0.verdicts[index].label }) }
    for column in columns {
      lines += ["", "## \(column.library)", "", "\(column.summary).", "", row(["misuse", "what came of it"]), rule(2)]
      lines += zip(names, column.verdicts).map { row([$0, $1.text.replacing("|", with: "\\|")]) }
    }
    return lines
  }
}
