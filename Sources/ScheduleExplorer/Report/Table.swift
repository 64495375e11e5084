/// An interleaving as text: a column a thread, a row a step, time going down.
struct Table {
  let text: String

  private static let width = 46

  init(_ rows: [Recorder.Row], threads: Int) {
    var lines: [String] = []
    // What was set up has no column of its own; neither has the check at the end.
    let begin = rows.firstIndex { $0.thread > 0 } ?? rows.count
    let header = (1...max(threads, 1)).map { Self.fit(String(UnicodeScalar(UInt8(64 + $0)))) }.joined(separator: " │ ")
    lines.append(header)
    lines.append(String(repeating: "─", count: header.count))
    for row in rows[begin...] {
      let place = row.place.line > 0 ? "  " + row.place.sourceLine.description : ""
      guard row.thread > 0 else {
        lines.append(row.text)
        continue
      }
      let cells = (1...threads).map { thread in
        thread == row.thread ? Self.fit(row.text) : String(repeating: " ", count: Self.width)
      }
      lines.append(Self.trimmed(cells.joined(separator: " │ ") + place))
    }
    text = lines.joined(separator: "\n")
  }

  private static func trimmed(_ line: String) -> String {
    var line = line
    while line.last == " " { line.removeLast() }
    return line
  }

  private static func fit(_ text: String) -> String {
    text.count >= width ? text : text + String(repeating: " ", count: width - text.count)
  }
}
