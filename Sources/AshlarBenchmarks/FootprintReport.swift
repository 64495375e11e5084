import Foundation

/// Memory after each step of the workload `footprint`, for each allocator.
public struct FootprintReport {
  private let runs: [(allocator: Allocator, run: Run)]

  /// Runs the workload once under each. One under which it fails is left out.
  public init(program: WorkloadProgram, allocators: [Allocator]) throws {
    guard let workload = program.workloads.first(where: { $0.name == "footprint" }) else {
      throw Command.Failure(description: "no workload is named footprint")
    }
    runs = allocators.compactMap { allocator in
      // A warm-up and one pass more: the steps told are those of the first.
      guard let output = try? program.run(workload, ["--count", "1"], under: allocator), let run = Run(output: output) else { return nil }
      return (allocator, run)
    }
  }

  /// What an allocator reserves at once would flatten all other curves.
  private static let scaleMebibytes = 16384.0

  private var labels: [String] { runs.first?.run.steps.map { $0.label } ?? [] }

  private func values(_ run: Run, _ part: (Run.Step) -> Double) -> [Double] { run.steps.map { part($0) / Double(1 << 20) } }

  private func table(_ title: String, _ part: (Run.Step) -> Double) -> Table {
    var table = Table(title: title, header: ["allocator"] + labels)
    for (allocator, run) in runs { table.add([allocator.name] + values(run, part).map { $0.digits(0) }) }
    return table
  }

  public var tables: [Table] { [table("Mapped, in MiB", \.mapped), table("Resident, in MiB", \.resident)] }

  public var markdown: String { tables.map(\.markdown).joined(separator: "\n") }

  public var html: String {
    // The start, 1 to 8 blocks live, and 1 to 8 of them freed again.
    let short = labels.map { $0.replacing("allocated-", with: "+").replacing("freed-", with: "−").replacing("start-", with: "") }
    func chart(_ part: (Run.Step) -> Double) -> String {
      let all = runs.map { (name: $0.allocator.name, values: values($0.run, part)) }
      let beyond = all.filter { $0.values.max()! > Self.scaleMebibytes }.map { "\($0.name), \($0.values.max()!.digits(0)) MiB" }
      let note = beyond.isEmpty ? "" : "<p>Beyond the scale, because it is reserved and not used: \(beyond.joined(separator: "; ").escaped)</p>\n"
      let fitting = all.filter { $0.values.max()! <= Self.scaleMebibytes }
      return Chart.curves(labels: short, unit: "MiB", curves: fitting) + note
    }
    let body = zip(tables, [chart(\.mapped), chart(\.resident)]).map { $0.html + $1 }.joined()
    return Chart.page(title: "8 blocks of 128 MiB allocated and touched, then freed", body)
  }
}
