import Foundation

/// What is counted and not timed, so that nothing can disturb it.
public struct Counts {
  public let program: WorkloadProgram
  public let root: URL

  public init(program: WorkloadProgram, root: URL) {
    self.program = program
    self.root = root
  }

  /// System calls for 100,000 operations of `workload`: the difference of two lengths, so that neither the start nor the
  /// first fill counts. Nil without strace, or where the allocator fails.
  public func systemCalls(_ workload: Workload, under allocator: Allocator) -> Int? {
    guard Command.exists("strace"), let short = calls(workload, allocator, 100_000), let long = calls(workload, allocator, 200_000) else {
      return nil
    }
    return max(0, long - short)
  }

  private func calls(_ workload: Workload, _ allocator: Allocator, _ operations: Int) -> Int? {
    let path = FileManager.default.temporaryDirectory.appending(path: "ashlar-calls-\(UUID().uuidString)").path
    defer { try? FileManager.default.removeItem(atPath: path) }
    let strace = ["strace", "-f", "-qq", "-o", path]
    guard (try? program.run(workload, ["--count", "\(operations)"], under: allocator, through: strace)) != nil,
      let text = try? String(contentsOfFile: path, encoding: .utf8)
    else { return nil }
    return text.count { $0 == "\n" }
  }

  /// The table of `scripts/hot-path`: instructions of a pair for each allocator. Nil without valgrind.
  public func instructions(_ allocators: [Allocator]) -> String? {
    guard Command.exists("valgrind"), let ashlar = allocators.first else { return nil }
    let peers = allocators.dropFirst().flatMap { ["--peer", $0.library] }
    return try? Command(["env", "ASHLAR_LIBRARY=\(ashlar.library)", root.appending(path: "scripts/hot-path").path] + peers).output()
  }
}
