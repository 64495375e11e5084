import Foundation

/// What a run of the benchmarks found, as tables and a chart.
public struct BenchmarkReport {
  public let comparison: Comparison
  /// How it was measured, in sentences.
  public let conditions: String
  /// The table of `scripts/hot-path`, if it was made.
  public let instructions: String?
  /// For each allocator; where they were counted.
  public let systemCalls: [Allocator: Int]

  public init(comparison: Comparison, conditions: String, instructions: String?, systemCalls: [Allocator: Int]) {
    self.comparison = comparison
    self.conditions = conditions
    self.instructions = instructions
    self.systemCalls = systemCalls
  }

  private var allocators: [Allocator] { [comparison.subject] + comparison.peers }

  /// The summary in sentences.
  public var verdict: String {
    guard let mean = comparison.mean(comparison.subject) else { return "No workload ran under \(comparison.subject.name) and another.\n" }
    let rows = comparison.rows
    var text = "Geometric mean of the ratio to the best of \(comparison.peers.map(\.name).joined(separator: ", ")), over"
    text += " \(rows.count) workloads: \(comparison.subject.name) \(mean.digits(2))"
    for peer in comparison.peers { text += comparison.mean(peer).map { ", \(peer.name) \($0.digits(2))" } ?? "" }
    text += ". \(comparison.subject.name) is ahead of the best in \(comparison.ahead)"
    let behind = comparison.behind(0.8).map { "\($0.workload.name) \($0.ratio(comparison.subject)!.digits(2))" }
    return text + (behind.isEmpty ? "; none is under 0.80.\n" : "; under 0.80: \(behind.joined(separator: ", ")).\n")
  }

  public var tables: [Table] { [speeds, peaks, figures, calls].compactMap { $0 } }

  private var speeds: Table? {
    let subject = comparison.subject
    var table = Table(
      title: "Speed, as the ratio of medians to the best peer's",
      header: ["workload", "best peer", "its million a second", subject.name, "its rounds"] + comparison.peers.map(\.name))
    for row in comparison.rows {
      let spread = row.spread(subject)!
      table.add(
        [row.workload.name, row.best.name, (row.speeds[row.best]!.median / 1e6).significant, row.ratio(subject)!.digits(2),
          "\(spread.least.digits(2))–\(spread.greatest.digits(2))"] + comparison.peers.map { row.ratio($0)?.digits(2) ?? "failed" })
    }
    return table.rows.isEmpty ? nil : table
  }

  private var peaks: Table? {
    table("Peak resident memory in MiB") { result in [(result.workload.name, { $0.peakMebibytes })] }
  }

  private var figures: Table? {
    table("What stays resident") { result in
      let names = Set(result.runs.values.flatMap { $0.flatMap { Array($0.figures.keys) } })
      return names.sorted().map { name in ("\(result.workload.name): \(name)", { $0.figures[name] }) }
    }
  }

  private func table(_ title: String, _ rows: (Benchmark.Result) -> [(String, (Run) -> Double?)]) -> Table? {
    var table = Table(title: title, header: ["workload"] + allocators.map(\.name))
    for result in comparison.results {
      for (name, value) in rows(result) {
        table.add([name] + allocators.map { result.sample($0, value)?.median.digits(2) ?? "failed" })
      }
    }
    return table.rows.isEmpty ? nil : table
  }

  private var calls: Table? {
    if systemCalls.isEmpty { return nil }
    var table = Table(title: "System calls for 100,000 operations of mixed-1024", header: [""] + allocators.map(\.name))
    table.add(["calls"] + allocators.map { systemCalls[$0].map { "\($0)" } ?? "failed" })
    return table
  }

  private var legend: String {
    comparison.results.map { "* `\($0.workload.name)`: \($0.workload.summary)\n" }.joined()
  }

  public var markdown: String {
    var text = "# Allocators compared\n\n\(conditions)\n\n\(verdict)\n" + tables.map { $0.markdown + "\n" }.joined()
    if let instructions { text += "## Instructions of a pair\n\n```\n\(instructions)```\n\n" }
    return text + (comparison.results.isEmpty ? "" : "## Workloads\n\n\(legend)")
  }

  public var html: String {
    let rows = comparison.rows.map { row in (name: row.workload.name, ratios: allocators.map { row.ratio($0) }) }
    var body = "<p>\(conditions.escaped)</p>\n<p>\(verdict.escaped)</p>\n"
    if !rows.isEmpty { body += Chart.dots(series: allocators.map(\.name), rows: rows) }
    body += tables.map(\.html).joined()
    if let instructions { body += "<h2>Instructions of a pair</h2>\n<pre>\(instructions.escaped)</pre>\n" }
    return Chart.page(title: "Allocators compared", body)
  }

  /// A line for each run, to look at in other ways.
  public var csv: String {
    var text = "workload,allocator,round,operations,wall,processor,waited,peak_mib\n"
    for result in comparison.results {
      for allocator in allocators {
        for (round, run) in (result.runs[allocator] ?? []).enumerated() {
          let values = [run.operations, run.wall, run.processor, run.waited, run.peakMebibytes].map { "\($0)" }
          text += ([result.workload.name, allocator.name, "\(round + 1)"] + values).joined(separator: ",") + "\n"
        }
      }
    }
    return text
  }
}

extension Double {
  /// Three digits or so.
  fileprivate var significant: String { digits(self < 1 ? 4 : self < 10 ? 2 : self < 100 ? 1 : 0) }
}
