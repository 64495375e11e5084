import Foundation

/// A program that is run to its end and must succeed.
struct Command {
  struct Failure: Error, CustomStringConvertible {
    let description: String
  }

  private let arguments: [String]
  private let folder: URL

  /// - Parameters:
  ///   - script: a file of the package.
  ///   - root: the package's folder, in which it is run.
  init(_ script: String, _ arguments: [String] = [], root: URL) {
    self.init([root.appending(path: script).path] + arguments, folder: root)
  }

  /// - Parameter words: a program found on PATH, or by its path, and its arguments.
  init(_ words: [String], folder: URL = URL(filePath: "/")) {
    arguments = words
    self.folder = folder
  }

  /// What it prints. Its errors go where ours do.
  func output() throws -> String {
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = arguments
    process.currentDirectoryURL = folder
    process.standardInput = FileHandle.nullDevice
    let pipe = Pipe()
    process.standardOutput = pipe
    try process.run()
    let output = try pipe.fileHandleForReading.readToEnd() ?? Data()
    process.waitUntilExit()
    guard process.terminationReason == .exit, process.terminationStatus == 0 else {
      throw Failure(description: "\(arguments.joined(separator: " ")) failed (status \(process.terminationStatus))")
    }
    return String(decoding: output, as: UTF8.self)
  }

  /// Whether there is such a program on PATH.
  static func exists(_ program: String) -> Bool { (try? Command(["which", program]).output()) != nil }
}
