/// Results in the XML that continuous integration reads: a test case for each check, a failure with all its findings, an
/// error for the check that the process ended in.
struct JUnitReport {
  let summary: RunSummary
  let running: (name: String, seed: UInt64)?

  var text: String {
    let rows = summary.rows
    let failures = rows.filter { !$0.failures.isEmpty }.count
    let seconds = rows.reduce(0) { $0 + $1.seconds }
    let counts = "tests=\"\(rows.count + (running == nil ? 0 : 1))\" failures=\"\(failures)\" errors=\"\(running == nil ? 0 : 1)\""
    var lines = ["<?xml version=\"1.0\" encoding=\"UTF-8\"?>", "<testsuites>"]
    lines.append("  <testsuite name=\"ashlar check\" \(counts) time=\"\(seconds)\">")
    lines += rows.map(testCase)
    if let running { lines.append(unfinished(running)) }
    return (lines + ["  </testsuite>", "</testsuites>", ""]).joined(separator: "\n")
  }

  private func opening(_ name: String, _ seconds: Double) -> String {
    "    <testcase classname=\"ashlar.check\" name=\"\(name.escaped)\" time=\"\(seconds)\""
  }

  private func testCase(_ row: RunSummary.Row) -> String {
    guard let first = row.failures.first else { return opening(row.name, row.seconds) + "/>" }
    let text = row.failures.map { "\($0.finding)\nrepeat with: \(summary.command(row.name, seed: $0.seed))" }.joined(separator: "\n")
    return """
      \(opening(row.name, row.seconds))>
            <failure message="\(first.finding.escaped)">\(text.escaped)</failure>
          </testcase>
      """
  }

  private func unfinished(_ running: (name: String, seed: UInt64)) -> String {
    let command = summary.command(running.name, seed: running.seed)
    return """
      \(opening(running.name, 0))>
            <error message="the process ended in this check">repeat with: \(command.escaped)</error>
          </testcase>
      """
  }
}
