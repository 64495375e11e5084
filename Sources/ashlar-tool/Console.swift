import Glibc

/// Standard output: a live progress line on a terminal, plain lines otherwise.
final class Console: Sendable {
  private let isTerminal = isatty(1) == 1

  /// Shows `text` until the next line or progress; nothing where there is no terminal.
  func progress(_ text: String) {
    guard isTerminal else { return }
    write("\r\u{1B}[K\(text)")
  }

  func line(_ text: String) { write(isTerminal ? "\r\u{1B}[K\(text)\n" : "\(text)\n") }

  private func write(_ text: String) {
    var text = text
    text.withUTF8 { bytes in
      var sent = 0
      while sent < bytes.count {
        let count = Glibc.write(1, bytes.baseAddress! + sent, bytes.count - sent)
        if count <= 0 { return }
        sent += count
      }
    }
  }
}

extension String {
  func padded(to width: Int) -> String { self + String(repeating: " ", count: max(1, width - count)) }
  func aligned(to width: Int) -> String { String(repeating: " ", count: max(0, width - count)) + self }
}
