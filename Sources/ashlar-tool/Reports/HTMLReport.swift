import AshlarSuite

/// A page with the results, what failed and how to replay it, memory over time and the heap as a picture. It needs nothing
/// but itself.
struct HTMLReport {
  let summary: RunSummary
  let running: (name: String, seed: UInt64)?
  let record: HeapRecorder.Record

  var text: String {
    """
    <!doctype html>
    <html lang="en"><head><meta charset="utf-8"><title>ashlar check</title><style>\(Self.style)</style></head><body>
    <h1>ashlar check: \(verdict)</h1>
    \(failures)
    <h2>Memory</h2>
    \(MemoryChart(record: record).html)
    \(heap)
    <h2>Checks</h2>
    \(table)
    </body></html>

    """
  }

  private var verdict: String {
    let failed = summary.rows.filter { !$0.failures.isEmpty }.count
    let counts = "\(summary.rows.count - failed) passed, \(failed) failed"
    return running.map { "\(counts), \($0.name.escaped) not ended" } ?? counts
  }

  private var failures: String {
    var items = summary.rows.flatMap { row in
      row.failures.map { item(row.name, "\($0.finding)", $0.seed) }
    }
    if let running {
      items.append(item(running.name, "had not ended when this page was written", running.seed))
    }
    return items.isEmpty ? "" : "<h2>What failed</h2>\n<ul>\(items.joined(separator: "\n"))</ul>"
  }

  private func item(_ check: String, _ finding: String, _ seed: UInt64) -> String {
    "<li><b>\(check.escaped)</b>: \(finding.escaped)<br>repeat with <code>\(summary.command(check, seed: seed).escaped)</code></li>"
  }

  private var heap: String {
    guard let (seconds, name, picture) = record.picture else { return "" }
    return """
      <h2>The heap at its fullest</h2>
      <p>Blocks of the region after \(tenths(seconds)) s, in \(name.isEmpty ? "no check" : name.escaped). A square is 64 KiB, a row 16 MiB;
      rows of which nothing is live are left out.</p>
      \(HeapImage(picture).html)
      """
  }

  private var table: String {
    let rows = summary.rows.map { row in
      let verdict = row.failures.isEmpty ? "<td class=\"ok\">ok</td>" : "<td class=\"failed\">\(row.failures.count) findings</td>"
      return "<tr><td>\(row.name.escaped)</td><td class=\"n\">\(row.runs)</td><td class=\"n\">\(row.rounds)</td>"
        + "<td class=\"n\">\(tenths(row.seconds))</td>\(verdict)<td>\(row.note.escaped)</td></tr>"
    }
    return """
      <table><tr><th>check</th><th>runs</th><th>rounds</th><th>seconds</th><th>result</th><th>measured</th></tr>
      \(rows.joined(separator: "\n"))</table>
      """
  }

  private static let style = """
    body{font:15px/1.45 system-ui,sans-serif;max-width:1060px;margin:2em auto;padding:0 1em;color:#222;background:#fff}
    table{border-collapse:collapse}td,th{padding:.15em .7em;text-align:left;border-bottom:1px solid #ddd}.n{text-align:right}
    .ok{color:#2e7d32}.failed{color:#b71c1c;font-weight:bold}code{background:#f2f2f2;padding:.1em .3em}
    svg{width:100%;border:1px solid #ddd}polyline{fill:none;stroke-width:1.5}polyline.resident{stroke:#b71c1c}
    polyline.live{stroke:#1660a7}i.resident{background:#b71c1c}i.live{background:#1660a7}.band0{fill:#fff}.band1{fill:#f4f4f4}
    .key{margin-right:1em}.key i{display:inline-block;width:.9em;height:.9em;margin-right:.3em;border:1px solid #bbb}
    .heap{image-rendering:pixelated;border:1px solid #ddd}
    """
}
