import AshlarSuite

extension Check.Outcome {
  /// A line for when the check ends.
  var line: String {
    let verdict = passed ? "ok    " : "FAILED"
    return "\(verdict) \(name.padded(to: 20))\("\(rounds)".aligned(to: 9))  \(tenths(seconds).aligned(to: 7)) s  \(note)"
  }
}

/// What came of all checks, over all seeds of a run.
struct RunSummary {
  struct Row {
    var name: String
    var runs = 0
    var rounds = 0
    var seconds = 0.0
    /// What was measured in the last run.
    var note = ""
    var failures: [(seed: UInt64, finding: String)] = []
  }

  private(set) var rows: [Row] = []
  /// What the command was given beside checks and a seed.
  private let arguments: String

  init(arguments: String) { self.arguments = arguments }

  var passed: Bool { rows.allSatisfy { $0.failures.isEmpty } }

  mutating func add(_ outcome: Check.Outcome, seed: UInt64) {
    let index = rows.firstIndex { $0.name == outcome.name } ?? rows.count
    if index == rows.count { rows.append(Row(name: outcome.name)) }
    rows[index].runs += 1
    rows[index].rounds += outcome.rounds
    rows[index].seconds += outcome.seconds
    rows[index].note = outcome.note
    rows[index].failures += outcome.findings.map { (seed, $0) }
  }

  /// What to type to see a finding again.
  func command(_ check: String, seed: UInt64) -> String { "ashlar check \(arguments)--only \(check) --seed \(seed)" }

  /// The table, the findings, and the verdict.
  var lines: [String] {
    var lines = ["check".padded(to: 20) + "runs".aligned(to: 6) + "rounds".aligned(to: 12) + "seconds".aligned(to: 10) + "  result"]
    for row in rows {
      lines.append(
        row.name.padded(to: 20) + "\(row.runs)".aligned(to: 6) + "\(row.rounds)".aligned(to: 12)
          + tenths(row.seconds).aligned(to: 10) + (row.failures.isEmpty ? "  ok" : "  \(row.failures.count) findings"))
    }
    for row in rows {
      for failure in row.failures {
        lines.append("\(row.name): \(failure.finding)")
        lines.append("  repeat with: \(command(row.name, seed: failure.seed))")
      }
    }
    let failed = rows.filter { !$0.failures.isEmpty }.count
    lines.append("\(rows.count - failed) passed, \(failed) failed")
    return lines
  }
}

/// A number of seconds with one digit behind the point.
func tenths(_ seconds: Double) -> String {
  let tenths = Int((seconds * 10).rounded())
  return "\(tenths / 10).\(tenths % 10)"
}
