/// Runs workloads under allocators, in turns.
public struct Benchmark {
  public let program: WorkloadProgram
  public let allocators: [Allocator]
  public let rounds: Int
  /// Of processor time for each thread and run.
  public let seconds: Double
  /// A disturbed run is repeated so often at most; the least disturbed counts.
  public let repeats: Int

  public init(program: WorkloadProgram, allocators: [Allocator], rounds: Int, seconds: Double, repeats: Int) {
    self.program = program
    self.allocators = allocators
    self.rounds = rounds
    self.seconds = seconds
    self.repeats = repeats
  }

  /// All rounds of one workload.
  public struct Result: Sendable {
    public let workload: Workload
    /// For each allocator that it runs under, a run for each round. One that fails once is left out.
    public var runs: [Allocator: [Run]] = [:]
    /// Of all runs, and how many of them were disturbed to the last.
    public var count = 0
    public var disturbed = 0

    public func sample(_ allocator: Allocator, _ value: (Run) -> Double?) -> Sample? {
      guard let values = runs[allocator]?.compactMap(value), !values.isEmpty else { return nil }
      return Sample(values)
    }
  }

  /// The order of the allocators rotates from round to round, so that each comes after each other one.
  public func measure(_ workload: Workload, progress: (String) -> Void) -> Result {
    var result = Result(workload: workload)
    var failed = Set<Allocator>()
    for round in 0..<rounds {
      for turn in allocators.indices {
        let allocator = allocators[(round + turn) % allocators.count]
        if failed.contains(allocator) { continue }
        progress("\(workload.name), round \(round + 1) of \(rounds), \(allocator.name)")
        guard let (run, disturbance) = leastDisturbed(workload, allocator) else {
          failed.insert(allocator)
          result.runs[allocator] = nil
          continue
        }
        result.runs[allocator, default: []].append(run)
        result.count += 1
        if disturbance > Disturbance.limit { result.disturbed += 1 }
      }
    }
    return result
  }

  private func leastDisturbed(_ workload: Workload, _ allocator: Allocator) -> (Run, Double)? {
    var best: (run: Run, share: Double)?
    for _ in 0...repeats {
      let disturbance = Disturbance()
      guard let output = try? program.run(workload, ["\(seconds)"], under: allocator), let run = Run(output: output) else { return nil }
      let share = disturbance.share(of: run, threads: workload.threads)
      if share < best?.share ?? .infinity { best = (run, share) }
      if share <= Disturbance.limit { break }
    }
    return best
  }
}
