import ArgumentParser
import AshlarSuite
import Foundation

/// The files that a run leaves behind, complete at any time: whatever ends the process, they say how far it came.
struct Reports {
  private let junit: String?
  private let html: String?
  private let recorder: HeapRecorder?

  /// Where to write to; nil for no such file. Refuses a file that can't be written before anything has run.
  init(junit: String?, html: String?) throws {
    for case let path? in [junit, html] where !FileManager.default.createFile(atPath: path, contents: nil) {
      throw ValidationError("'\(path)' can't be written.")
    }
    self.junit = junit
    self.html = html
    recorder = html == nil ? nil : HeapRecorder()
  }

  /// Writes what came of the checks so far. `running` is the check that begins now and its seed; nil at the end.
  func write(_ summary: RunSummary, running: (name: String, seed: UInt64)?) throws {
    if let junit { try replace(junit, with: JUnitReport(summary: summary, running: running).text) }
    guard let html, let recorder else { return }
    try replace(html, with: HTMLReport(summary: summary, running: running, record: recorder.record).text)
    recorder.mark(running?.name)
  }

  private func replace(_ path: String, with text: String) throws {
    try Data(text.utf8).write(to: URL(filePath: path), options: .atomic)
  }
}

extension String {
  /// As it stands in the text or an attribute of XML and HTML. What XML 1.0 has no way to say becomes a question mark.
  var escaped: String {
    var result = ""
    for scalar in unicodeScalars {
      switch scalar {
      case "&": result += "&amp;"
      case "<": result += "&lt;"
      case ">": result += "&gt;"
      case "\"": result += "&quot;"
      case "\n", "\t": result.unicodeScalars.append(scalar)
      case _ where scalar.value < 32 || scalar.value == 0xFFFE || scalar.value == 0xFFFF: result += "?"
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result
  }
}
