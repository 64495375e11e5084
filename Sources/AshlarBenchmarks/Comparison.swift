/// One allocator beside others, over many workloads.
public struct Comparison {
  public let subject: Allocator
  /// The best of these is what the subject is measured against.
  public let peers: [Allocator]
  public let clock: Run.Clock
  public let results: [Benchmark.Result]

  /// - Parameter peers: without the subject. At least one.
  public init(subject: Allocator, peers: [Allocator], clock: Run.Clock, results: [Benchmark.Result]) {
    self.subject = subject
    self.peers = peers
    self.clock = clock
    self.results = results
  }

  /// A workload's speeds.
  public struct Row {
    public let workload: Workload
    /// Operations a second.
    public let speeds: [Allocator: Sample]
    /// The peer with the highest median.
    public let best: Allocator

    public func ratio(_ allocator: Allocator) -> Double? {
      speeds[allocator].map { $0.median / speeds[best]!.median }
    }
    /// The ratios of single rounds, where both have all of them.
    public func spread(_ allocator: Allocator) -> Sample? { speeds[allocator].map { $0.ratios(to: speeds[best]!) } }
  }

  /// Those under which the subject and a peer ran.
  public var rows: [Row] {
    results.compactMap { result in
      var speeds: [Allocator: Sample] = [:]
      for allocator in [subject] + peers { speeds[allocator] = result.sample(allocator) { $0.speed(clock) } }
      guard speeds[subject] != nil, let best = peers.filter({ speeds[$0] != nil }).max(by: { speeds[$0]!.median < speeds[$1]!.median })
      else { return nil }
      return Row(workload: result.workload, speeds: speeds, best: best)
    }
  }

  /// The geometric mean of an allocator's ratios to the best peer of each workload.
  public func mean(_ allocator: Allocator) -> Double? { Sample.geometricMean(rows.compactMap { $0.ratio(allocator) }) }

  /// In how many workloads the subject is ahead of the best peer, and in which it is under `limit`.
  public var ahead: Int { rows.count { $0.ratio(subject)! >= 1 } }
  public func behind(_ limit: Double) -> [Row] { rows.filter { $0.ratio(subject)! < limit } }
}
