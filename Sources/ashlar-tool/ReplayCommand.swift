import ArgumentParser
import AshlarSuite
import Foundation

struct ReplayCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "replay",
    abstract: "Replays every input of every fuzz target, one after the other in this process.",
    discussion: """
      FOLDER has a folder of inputs for each target, named after it, and one with regressions, which run on every target that
      takes a program. Exit code: 0 when nothing is wrong, 1 when something is, 64 for arguments that make no sense.
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
        if let failure = target.run(input.bytes) { failures.append("\(target.name), \(input.path): \(failure)") }
      }
      print(target.name.padded(to: 20) + "\(inputs.count)".aligned(to: 6) + " inputs")
      total += inputs.count
    }
    failures.forEach { print($0) }
    print("\(total) inputs replayed, \(failures.count) failed")
    if !failures.isEmpty { throw ExitCode(1) }
  }

  private func inputs(of target: FuzzTarget) throws -> [(path: String, bytes: [UInt8])] {
    var inputs = try files(target.name).map { ($0, try bytes($0)) }
    if target.prefixBytes == 0 {
      inputs += try files("regressions").filter { $0.hasSuffix(".program") }.map { path in
        (path, try OperationProgram(text: String(decoding: bytes(path), as: UTF8.self)).bytes)
      }
    }
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
