/// The words of a Swift source: as much of the grammar as it takes to find conditions, operators and calls in sources
/// that are formatted as these are, a binary operator with a blank or line end on each side.
struct SwiftTokens {
  enum Kind {
    case word, number, string, symbol
    case open, close
    /// A comma, colon or semicolon.
    case separator
  }

  struct Token {
    let kind: Kind
    /// Of UTF-8 bytes.
    let range: Range<Int>
    let text: String
    /// Whether nothing stands before it in its line.
    let startsLine: Bool
    /// Whether it is an operator between two operands.
    let isBinary: Bool
  }

  let source: [UInt8]
  private(set) var tokens: [Token] = []
  /// For each bracket the position of its other half.
  private(set) var partner: [Int: Int] = [:]

  private var next = 0
  private var startsLine = true

  /// What stands between `#if` and `#endif`, and in comments, is left out.
  init(_ text: String) {
    source = Array(text.utf8)
    while next < source.count { step() }
    pairBrackets()
  }

  subscript(index: Int) -> Token { tokens[index] }
  var count: Int { tokens.count }

  func text(_ range: Range<Int>) -> String { String(decoding: source[range], as: UTF8.self) }

  // MARK: One token

  private mutating func step() {
    let byte = source[next]
    switch byte {
    case UInt8(ascii: "\n"):
      startsLine = true
      next += 1
    case UInt8(ascii: " "): next += 1
    case _ where starts("//"): skip(to: "\n")
    case _ where starts("/*"): skip(past: "*/")
    case _ where starts("#if "): skip(past: "#endif")
    case UInt8(ascii: "\""): add(.string, stringEnd(next))
    case _ where Self.isDigit(byte): add(.number, end { Self.isWord($0) })
    case _ where Self.isWord(byte): add(.word, end { Self.isWord($0) })
    case _ where "([{".utf8.contains(byte): add(.open, next + 1)
    case _ where ")]}".utf8.contains(byte): add(.close, next + 1)
    case _ where ",:;".utf8.contains(byte): add(.separator, next + 1)
    // A member's dot is no part of the operator before it.
    default: add(.symbol, byte == UInt8(ascii: ".") ? end { $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "<") } : end(Self.isSymbol))
    }
  }

  private mutating func add(_ kind: Kind, _ end: Int) {
    let range = next..<max(end, next + 1)
    let isBinary = kind == .symbol && isBlank(range.lowerBound - 1) && isBlank(range.upperBound)
    tokens.append(Token(kind: kind, range: range, text: text(range), startsLine: startsLine, isBinary: isBinary))
    startsLine = false
    next = range.upperBound
  }

  private func end(_ belongs: (UInt8) -> Bool) -> Int {
    var end = next
    while end < source.count, belongs(source[end]) { end += 1 }
    return end
  }

  // The position behind a string's closing quote; what is interpolated may hold strings of its own.
  private func stringEnd(_ start: Int) -> Int {
    let quote = starts("\"\"\"", at: start) ? "\"\"\"" : "\""
    var index = start + quote.utf8.count
    while index < source.count, !starts(quote, at: index) {
      if starts("\\(", at: index) { index = interpolationEnd(index + 2) } else { index += source[index] == UInt8(ascii: "\\") ? 2 : 1 }
    }
    return index + quote.utf8.count
  }

  private func interpolationEnd(_ start: Int) -> Int {
    var index = start
    var depth = 1
    while index < source.count, depth > 0 {
      if source[index] == UInt8(ascii: "\"") {
        index = stringEnd(index)
        continue
      }
      if source[index] == UInt8(ascii: "(") { depth += 1 }
      if source[index] == UInt8(ascii: ")") { depth -= 1 }
      index += 1
    }
    return index
  }

  private mutating func pairBrackets() {
    var open: [Int] = []
    for (index, token) in tokens.enumerated() {
      if token.kind == .open { open.append(index) }
      if token.kind == .close, let first = open.popLast() { (partner[first], partner[index]) = (index, first) }
    }
  }

  // MARK: Bytes

  private func starts(_ text: String, at index: Int? = nil) -> Bool { source[(index ?? next)...].starts(with: text.utf8) }

  private mutating func skip(to text: String) { while next < source.count, !starts(text) { next += 1 } }

  private mutating func skip(past text: String) {
    skip(to: text)
    next = min(next + text.utf8.count, source.count)
  }

  private func isBlank(_ index: Int) -> Bool {
    !source.indices.contains(index) || source[index] == UInt8(ascii: " ") || source[index] == UInt8(ascii: "\n")
  }

  private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }

  private static func isWord(_ byte: UInt8) -> Bool {
    isDigit(byte) || byte >= 128 || "_$@#`".utf8.contains(byte)
      || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 32)
  }

  private static func isSymbol(_ byte: UInt8) -> Bool { "/=-+!*%<>&|^~?".utf8.contains(byte) }
}
