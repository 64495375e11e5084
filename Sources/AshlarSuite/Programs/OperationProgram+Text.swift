// The text form: a line for each operation, `#` begins a comment.
//
//     allocate 3 size 100 alignment 64 zeroed
//     reallocate 3 size 5000
//     misuse 3 free-inside
//     thread 2
//     free 3 sized
extension OperationProgram {
  public var text: String { operations.map { Self.line($0) + "\n" }.joined() }

  static func line(_ operation: Operation) -> String {
    switch operation {
    case .allocate(let slot, let size, let exponent, let zeroed):
      "allocate \(slot) size \(size) alignment \(1 << exponent)" + (zeroed ? " zeroed" : "")
    case .reallocate(let slot, let size): "reallocate \(slot) size \(size)"
    case .free(let slot, let sized): "free \(slot)" + (sized ? " sized" : "")
    case .measure(let slot): "measure \(slot)"
    case .verify: "verify"
    case .trim: "trim"
    case .thread(let thread): "thread \(thread)"
    case .misuse(let slot, let misuse): "misuse \(slot) \(misuse.name)"
    }
  }

  /// A line that is no operation.
  public struct SyntaxError: Error, CustomStringConvertible {
    public let line: Int
    public let text: String
    public var description: String { "line \(line) is no operation: \(text)" }
  }

  /// Reads the text form.
  public init(text: String) throws(SyntaxError) {
    var operations: [Operation] = []
    for (number, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
      let words = line.prefix { $0 != "#" }.split(separator: " ").map(String.init)
      if words.isEmpty { continue }
      guard let operation = Self.operation(words) else { throw SyntaxError(line: number + 1, text: String(line)) }
      operations.append(operation)
    }
    self.operations = operations
  }

  private static func operation(_ words: [String]) -> Operation? {
    switch (words[0], words.count) {
    case ("allocate", 6...7):
      guard let slot = slot(words[1]), words[2] == "size", let size = size(words[3]), words[4] == "alignment",
        let alignment = Int(words[5]), alignment > 0, alignment & (alignment - 1) == 0,
        alignment.trailingZeroBitCount < alignmentExponents, words.count == 6 || words[6] == "zeroed"
      else { return nil }
      return .allocate(
        slot: slot, size: size, alignmentExponent: alignment.trailingZeroBitCount, zeroed: words.count == 7)
    case ("reallocate", 4):
      guard let slot = slot(words[1]), words[2] == "size", let size = size(words[3]) else { return nil }
      return .reallocate(slot: slot, size: size)
    case ("free", 2): return slot(words[1]).map { .free(slot: $0, sized: false) }
    case ("free", 3) where words[2] == "sized": return slot(words[1]).map { .free(slot: $0, sized: true) }
    case ("measure", 2): return slot(words[1]).map { .measure(slot: $0) }
    case ("verify", 1): return .verify
    case ("trim", 1): return .trim
    case ("thread", 2): return number(words[1], below: threads).map { .thread($0) }
    case ("misuse", 3):
      guard let slot = slot(words[1]), let misuse = Misuse.allCases.first(where: { $0.name == words[2] }) else { return nil }
      return .misuse(slot: slot, misuse)
    default: return nil
    }
  }

  private static func number(_ word: String, below limit: Int) -> Int? {
    Int(word).flatMap { (0..<limit).contains($0) ? $0 : nil }
  }
  private static func slot(_ word: String) -> Int? { number(word, below: slots) }
  private static func size(_ word: String) -> Int? { number(word, below: 1 << sizeBits) }
}
