/// An interleaving as text: a column a thread, a row a step, time going down.
struct Table {
  let text: String

  init(_ rows: [Recorder.Row], threads: Int) {
    // What was set up has no column of its own; neither has the check at the end.
    let rows = rows[(rows.firstIndex { $0.thread > 0 } ?? rows.count)...]
    let widths = (0...threads).map { thread in
      // What failed is long, and may stick out.
      rows.filter { $0.thread == thread && !$0.text.hasPrefix("✗") }.map(\.text.count).max() ?? 1
    }
    func line(_ cell: (Int) -> String) -> String {
      (1...max(threads, 1)).map { thread in
        let text = cell(thread)
        return text + String(repeating: " ", count: max(0, widths[min(thread, threads)] - text.count))
      }.joined(separator: " │ ")
    }
    let header = line { String(UnicodeScalar(UInt8(64 + $0))) }
    var lines = [Self.trimmed(header), String(repeating: "─", count: header.count)]
    for row in rows {
      let place = row.place.line > 0 ? "  " + row.place.sourceLine.description : ""
      lines.append(row.thread == 0 ? row.text : Self.trimmed(line { $0 == row.thread ? row.text : "" } + place))
    }
    text = lines.joined(separator: "\n")
  }

  private static func trimmed(_ line: String) -> String {
    var line = line
    while line.last == " " { line.removeLast() }
    return line
  }
}
