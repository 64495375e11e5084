import Foundation
import Glibc

/// A program that is run to its end, or to that of its time or memory.
public enum ChildProcess {
  public enum End: Equatable, Sendable {
    case exit(Int32)
    case signal(Int32)
    case timeout
    /// It took more memory than a machine should lend to a program that is known to be wrong.
    case tooMuchMemory
  }

  public struct Run: Sendable {
    public let end: End
    public let output: String
    public let seconds: Double
  }

  private static let residentLimit = 5 << 30

  /// - Parameter environment: what is set beside the parent's own.
  public static func run(
    _ program: URL, _ arguments: [String], environment: [String: String] = [:], seconds limit: Double
  ) throws -> Run {
    let path = FileManager.default.temporaryDirectory.appending(path: "ashlar-\(UUID().uuidString)").path
    defer { unlink(path) }
    _ = FileManager.default.createFile(atPath: path, contents: nil)
    let output = FileHandle(forWritingAtPath: path)
    let process = Process()
    process.executableURL = program
    process.arguments = arguments
    process.environment = ProcessInfo.processInfo.environment
      .merging(["SWIFT_BACKTRACE": "enable=no"]) { $1 }.merging(environment) { $1 }
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = output
    process.standardError = output
    let clock = ContinuousClock()
    let begin = clock.now
    try process.run()
    let end = wait(process, until: begin + .seconds(limit))
    try output?.close()
    let text = String(decoding: FileManager.default.contents(atPath: path)?.suffix(200_000) ?? Data(), as: UTF8.self)
    return Run(end: end, output: text, seconds: (clock.now - begin) / .seconds(1))
  }

  private static func wait(_ process: Process, until deadline: ContinuousClock.Instant) -> End {
    var stop: End?
    while process.isRunning {
      usleep(5000)
      if stop != nil { continue }
      if ContinuousClock().now > deadline { stop = .timeout } else if resident(process.processIdentifier) > residentLimit { stop = .tooMuchMemory }
      // And its children, which are of its group: it is not known to have ended while one of them runs.
      if stop != nil { kill(-process.processIdentifier, SIGKILL) }
    }
    process.waitUntilExit()
    if let stop { return stop }
    return process.terminationReason == .uncaughtSignal ? .signal(process.terminationStatus) : .exit(process.terminationStatus)
  }

  private static func resident(_ process: Int32) -> Int {
    guard let text = try? String(contentsOfFile: "/proc/\(process)/statm", encoding: .utf8) else { return 0 }
    return text.split(separator: " ").dropFirst().first.flatMap { Int($0) }.map { $0 * Int(getpagesize()) } ?? 0
  }
}
