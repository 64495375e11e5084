import ArgumentParser
import AshlarBenchmarks
import Foundation

struct FootprintCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "footprint",
    abstract: "Memory while 8 blocks of 128 MiB are allocated and freed, under each allocator: a table and a chart.",
    discussion: """
      Run it in the package's folder. The blocks are touched. docs/footprint.md says why the curves look as they do.
      Exit code: 0, or 64 for arguments that make no sense.
      """)

  @OptionGroup var allocators: AllocatorOptions

  @Option(help: ArgumentHelp("Where the page with the charts is written.", valueName: "file.html"))
  var output = ".build-benchmarks/footprint.html"

  func run() throws {
    let root = URL(filePath: FileManager.default.currentDirectoryPath)
    let all = try [allocators.ashlar(root: root)] + allocators.peers(root: root)
    let report = try FootprintReport(program: WorkloadProgram(root: root), allocators: all)
    let file = URL(filePath: output)
    try FileManager.default.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
    try report.html.write(to: file, atomically: true, encoding: .utf8)
    print(report.markdown)
    print("charts: \(file.relativePath)")
  }
}
