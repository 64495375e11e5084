import ArgumentParser
import AshlarSuite
import Foundation

struct ReplayCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "replay",
    abstract: "Replays every input of every fuzz target, one after the other in this process.",
    discussion: """
      FOLDER has a folder of inputs for each target, named after it, and one with regressions, whose names begin with their
      target's. Exit code: 0 when nothing is wrong, 1 when something is, 64 for arguments that make no sense.
      """)

  @Argument(help: "The corpus.")
  var folder = "corpus"

  func validate() throws {
    guard FileManager.default.fileExists(atPath: folder) else { throw ValidationError("There is no folder '\(folder)'.") }
  }

  func run() throws {
    var total = 0
    var failures: [String] = []
    for target in FuzzTarget.all {
      let inputs = try inputs(of: target)
      for input in inputs {
        if let failure = target.run(input.program) { failures.append("\(target.name), \(input.path): \(failure)") }
      }
      print(target.name.padded(to: 20) + "\(inputs.count)".aligned(to: 6) + " inputs")
      total += inputs.count
    }
    failures.forEach { print($0) }
    print("\(total) inputs replayed, \(failures.count) failed")
    if !failures.isEmpty { throw ExitCode(1) }
  }

  private func inputs(of target: FuzzTarget) throws -> [(path: String, program: [Step])] {
    var inputs = try files(target.name).map { ($0, target.grammar.program(try bytes($0))) }
    inputs += try files("regressions").filter { FuzzTarget.named(forFile: URL(filePath: $0).lastPathComponent)?.name == target.name }
      .map { ($0, try target.grammar.program(text: String(decoding: bytes($0), as: UTF8.self))) }
    return inputs
  }

  /// Paths of the inputs in a folder of the corpus, always in the same order. A corpus may lack a folder.
  private func files(_ name: String) throws -> [String] {
    let path = "\(folder)/\(name)"
    guard FileManager.default.fileExists(atPath: path) else { return [] }
    return try FileManager.default.contentsOfDirectory(atPath: path).sorted().map { "\(path)/\($0)" }
  }

  private func bytes(_ path: String) throws -> [UInt8] {
    guard let data = FileManager.default.contents(atPath: path) else { throw ValidationError("'\(path)' can't be read.") }
    return [UInt8](data)
  }
}
