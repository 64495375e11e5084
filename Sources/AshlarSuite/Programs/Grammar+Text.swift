// The text form: a line for each step, `#` begins a comment.
//
//     allocate 3 size 100 alignment 64 zeroed
//     reallocate 3 size 5000
//     misuse 3 free second-granule
//     thread 2
//     free 3 sized
extension Grammar {
  public func text(_ program: [Step]) -> String { program.map { line($0) + "\n" }.joined() }

  public func line(_ step: Step) -> String {
    let verb = verbs[step.verb]
    return ([verb.name] + verb.parameters.enumerated().flatMap { $1.words(step[$0]) }).joined(separator: " ")
  }

  /// A line that is no step.
  public struct SyntaxError: Error, CustomStringConvertible {
    public let line: Int
    public let text: String
    public var description: String { "line \(line) is no operation: \(text)" }
  }

  /// Reads the text form.
  public func program(text: String) throws(SyntaxError) -> [Step] {
    var program: [Step] = []
    for (number, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
      let words = line.prefix { $0 != "#" }.split(separator: " ").map(String.init)
      if words.isEmpty { continue }
      guard let step = step(words) else { throw SyntaxError(line: number + 1, text: String(line)) }
      program.append(step)
    }
    return program
  }

  private func step(_ words: [String]) -> Step? {
    guard let verb = verbs.firstIndex(where: { $0.name == words[0] }) else { return nil }
    var step = Step(verb)
    var rest = words.dropFirst()
    for (index, parameter) in verbs[verb].parameters.enumerated() {
      guard let value = parameter.take(&rest) else { return nil }
      step.values[index] = value
    }
    return rest.isEmpty ? step : nil
  }
}

extension Grammar.Parameter {
  func words(_ value: Int) -> [String] {
    let text: String
    switch kind {
    case .number: text = "\(value)"
    case .bits: text = "\(UInt(bitPattern: value))"
    case .power: text = "\(UInt(1) << UInt(value))"
    case .word(let words): text = words[value]
    case .flag: return value == 1 ? [keyword] : []
    }
    return keyword.isEmpty ? [text] : [keyword, text]
  }

  /// Takes its words off the front; nil when they are not its own.
  func take(_ words: inout ArraySlice<String>) -> Int? {
    if case .flag = kind {
      guard words.first == keyword else { return 0 }
      words.removeFirst()
      return 1
    }
    if !keyword.isEmpty {
      guard words.popFirst() == keyword else { return nil }
    }
    return words.popFirst().flatMap(value)
  }

  private func value(_ word: String) -> Int? {
    switch kind {
    case .number(let limit): return Int(word).flatMap { (0..<limit).contains($0) ? $0 : nil }
    case .bits(let bits): return UInt(word).flatMap { UInt.bitWidth - $0.leadingZeroBitCount <= bits ? Int(bitPattern: $0) : nil }
    case .power(let exponents):
      guard let power = UInt(word), power.nonzeroBitCount == 1, power.trailingZeroBitCount < exponents else { return nil }
      return power.trailingZeroBitCount
    case .word(let words): return words.firstIndex(of: word)
    case .flag: return nil
    }
  }
}
