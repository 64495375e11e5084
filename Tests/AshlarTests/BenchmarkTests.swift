import Foundation
import Testing

@testable import AshlarBenchmarks

/// The arithmetic of the benchmarks, what they read and write, and every workload in small.
@Suite struct BenchmarkTests {
  private static let subject = Allocator(name: "subject", library: "/s")
  private static let slow = Allocator(name: "slow", library: "/a")
  private static let fast = Allocator(name: "fast", library: "/b")

  private func run(speed: Double) -> Run {
    Run(output: "operations \(speed * 2)\nwall 2\nprocessor 4\nwaited 0\npeak-mib 8\n")!
  }

  private func result(_ name: String, _ speeds: [Allocator: [Double]]) -> Benchmark.Result {
    var result = Benchmark.Result(workload: Workload(line: "\(name)\t1\t0\tsummary")!)
    for (allocator, values) in speeds { result.runs[allocator] = values.map(run(speed:)) }
    return result
  }

  @Test func `the median is the middle, and of an even number the mean of two`() {
    #expect(Sample([9, 1, 4]).median == 4)
    #expect(Sample([4, 1, 2, 9]).median == 3)
    #expect(Sample([7]).median == 7)
    #expect(Sample([9, 1, 4]).least == 1 && Sample([9, 1, 4]).greatest == 9)
  }

  @Test func `ratios are taken round by round, and their mean is geometric`() {
    #expect(Sample([2, 9]).ratios(to: Sample([1, 3])).values == [2, 3])
    #expect(abs(Sample.geometricMean([0.5, 2])! - 1) < 1e-12)
    #expect(abs(Sample.geometricMean([1, 10, 100])! - 10) < 1e-12)
    #expect(Sample.geometricMean([]) == nil)
  }

  @Test func `a comparison is with the best peer of each workload`() {
    let comparison = Comparison(
      subject: Self.subject, peers: [Self.slow, Self.fast], clock: .wall,
      results: [
        result("ahead", [Self.subject: [4, 4, 400], Self.slow: [1, 1, 1], Self.fast: [2, 2, 2]]),
        result("behind", [Self.subject: [1, 1, 1], Self.slow: [2, 2, 2], Self.fast: [1, 1, 100]]),
        result("alone", [Self.subject: [1]]),
      ])
    #expect(comparison.rows.map(\.workload.name) == ["ahead", "behind"])
    #expect(comparison.rows.map(\.best.name) == ["fast", "slow"])
    #expect(comparison.rows.map { $0.ratio(Self.subject)! } == [2, 0.5])
    #expect(comparison.rows[0].spread(Self.subject)?.values == [2, 2, 200])
    #expect(comparison.ahead == 1 && comparison.behind(0.8).map(\.workload.name) == ["behind"])
    #expect(abs(comparison.mean(Self.subject)! - 1) < 1e-12)
    #expect(abs(comparison.mean(Self.slow)! - 0.5.squareRoot()) < 1e-12)
  }

  @Test func `speed is by either clock`() {
    #expect(run(speed: 8).speed(.wall) == 8 && run(speed: 8).speed(.processor) == 4)
  }

  @Test func `what a run prints is read, and anything else is no run`() {
    let run = Run(output: "step allocated-1 8192 4096\nfigure kept 1.5\noperations 6\nwall 2\nprocessor 3\nwaited 1\npage-faults 9\npeak-mib 7\n")
    #expect(run?.operations == 6 && run?.waited == 1 && run?.peakMebibytes == 7 && run?.figures == ["kept": 1.5])
    #expect(run?.steps == [Run.Step(label: "allocated-1", mapped: 8192, resident: 4096)])
    #expect(Run(output: "") == nil && Run(output: "operations 0\nwall 1\nprocessor 1\nwaited 0\npeak-mib 1") == nil)
    #expect(Run(output: "the allocator says something else") == nil)
  }

  @Test func `a run is disturbed by what others took, and by waiting where there are processors enough`() {
    func share(others: Double = 0, waited: Double = 0, threads: Int = 1) -> Double {
      Disturbance.share(others: others, passed: 1, waited: waited, wall: 0.5, threads: threads, processors: 2)
    }
    #expect(share() == 0 && share(others: 0.02) == 0)
    #expect(share(others: 0.22) == 0.1 && share(waited: 0.25) == 0.5)
    #expect(share(waited: 0.25, threads: 2) == 0.25 && share(waited: 0.25, threads: 4) == 0)
    #expect(share(others: 9) == 1)
  }

  @Test func `numbers are written with the digits asked for`() {
    #expect(1.005.digits(1) == "1.0" && 0.06.digits(1) == "0.1" && 12.0.digits(0) == "12")
    #expect((-0.25).digits(2) == "-0.25" && (-0.001).digits(2) == "0.00" && 3.07.digits(2) == "3.07")
  }

  @Test func `a table escapes what it holds, and a chart is whole`() {
    var table = Table(title: "a < b", header: ["name", "value"])
    table.add(["<&>", "1"])
    #expect(table.markdown == "## a < b\n\n| name | value |\n| --- | ---: |\n| <&> | 1 |\n")
    #expect(table.html.contains("<h2>a &lt; b</h2>") && table.html.contains("<td>&lt;&amp;&gt;</td>"))
    let dots = Chart.dots(series: ["a", "b"], rows: [(name: "x", ratios: [1, nil]), (name: "y", ratios: [1000, 0.001])])
    // Three ratios and two in the legend.
    #expect(dots.count(of: "<circle") == 5 && dots.hasSuffix("</svg>\n"))
    let curves = Chart.curves(labels: ["1", "2"], unit: "MiB", curves: [(name: "a", values: [0, 0]), (name: "b", values: [1, 2])])
    #expect(curves.count(of: "<polyline") == 2 && !curves.contains("nan"))
  }

  @Test func `every workload runs`() throws {
    let program = try WorkloadProgram(root: packageRoot)
    #expect(program.workloads.count == 49 && Set(program.workloads.map(\.name)).count == 49)
    let library = Allocator(name: "the C library", library: "")
    for workload in program.workloads where !workload.isFresh {
      let output = try program.run(workload, ["--count", "64"], under: library)
      #expect(Run(output: output) != nil, "\(workload.name)")
    }
  }

  @Test func `arguments that make no sense are refused`() throws {
    for (arguments, named) in [
      (["benchmark", "--rounds", "0"], "rounds"), (["benchmark", "--clock", "sun"], "sun"), (["benchmark", "--peer", "x=/none"], "/none"),
      (["benchmark", "--against", "/none"], "/none"), (["benchmark", "--only", "nothing"], "nothing"), (["footprint", "--library", "/none"], "/none"),
    ] {
      let result = try AshlarTests.run(ashlarProgram, arguments)
      #expect(result.code == 64 && result.errors.hasPrefix("Error: ") && result.errors.contains(named), "\(arguments)")
    }
  }
}

extension String {
  fileprivate func count(of part: String) -> Int { components(separatedBy: part).count - 1 }
}
