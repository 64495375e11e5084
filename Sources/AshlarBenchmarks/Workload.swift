import Foundation

/// One of the programs in `Benchmarks/Workloads`.
public struct Workload: Sendable, Equatable {
  public let name: String
  public let threads: Int
  /// Whether it takes so much memory that what the system has ready decides, unless that is evened out before.
  public let isFresh: Bool
  public let summary: String

  /// Reads a line of `workloads --list`.
  init?(line: Substring) {
    let fields = line.split(separator: "\t").map(String.init)
    guard fields.count == 4, let threads = Int(fields[1]) else { return nil }
    (name, self.threads, isFresh, summary) = (fields[0], threads, fields[2] == "1", fields[3])
  }
}

/// The program that runs them.
public struct WorkloadProgram: Sendable {
  public let path: String
  public let workloads: [Workload]

  /// Builds it.
  public init(root: URL) throws {
    path = try Command("scripts/workloads", root: root).output().trimmingCharacters(in: .whitespacesAndNewlines)
    workloads = try Command([path, "--list"]).output().split(separator: "\n").compactMap { Workload(line: $0) }
  }

  /// - Parameter amount: seconds, or `--count` and a number.
  /// - Throws: when it does not end well within ten minutes.
  func run(_ workload: Workload, _ amount: [String], under allocator: Allocator, through wrapper: [String] = []) throws -> String {
    if workload.isFresh { _ = try Command([path, "--prime", "\(Self.primedMebibytes)"]).output() }
    let preload = "LD_PRELOAD=\(allocator.library)"
    return try Command(["timeout", "600"] + wrapper + ["env", preload, path, workload.name] + amount).output()
  }

  /// As much as the largest of them touches.
  private static let primedMebibytes = 1100
}
