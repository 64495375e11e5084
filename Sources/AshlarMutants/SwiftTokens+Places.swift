/// Where expressions, conditions and calls begin and end.
extension SwiftTokens {
  private static let stops: Set = [
    "return", "if", "guard", "while", "where", "in", "else", "case", "let", "var", "throw", "switch", "for", "do", "repeat", "defer",
    "default", "try",
  ]

  /// Whether a token is one of these, and no argument's label.
  func isKeyword(_ index: Int, _ words: Set<String>) -> Bool {
    words.contains(self[index].text) && !(index > 0 && ["(", ","].contains(self[index - 1].text))
  }

  // How tightly a binary operator binds, as far as it matters: what lies between two looser ones is one place.
  private static func strength(_ name: String) -> Int {
    switch name {
    case "&&", "||": 1
    case "==", "!=", "<", "<=", ">", ">=", "~=", "===", "!==": 2
    case "??": 3
    case _ where name == "?" || name == "->" || name.hasSuffix("="): 0
    default: 4
    }
  }

  /// The widest expression around a binary operator that holds none which binds less tightly. Of an assignment, all of it.
  func expression(around index: Int) -> Range<Int> {
    let strength = Self.strength(self[index].text)
    var first = index
    while first > 0, !stops(before: first, at: first - 1, strength) { first = beginning(of: first - 1) }
    return self[first].range.lowerBound..<self[last(from: index, strength)].range.upperBound
  }

  // The last token of the expression that `index` is part of.
  private func last(from index: Int, _ strength: Int) -> Int {
    let isCondition = isInCondition(index)
    var last = index
    while last + 1 < count {
      let next = last + 1
      if self[next].kind == .close || stops(before: next, at: next, strength) || isCondition && self[next].text == "{" { break }
      last = partner[next] ?? next
    }
    return last
  }

  private func beginning(of index: Int) -> Int { self[index].kind == .close ? partner[index] ?? index : index }

  // Whether an expression ends between `next` and the token before it, or at `candidate`, one of the two.
  private func stops(before next: Int, at candidate: Int, _ strength: Int) -> Bool {
    let token = self[candidate]
    if isStatementStart(next) || token.kind == .separator { return true }
    if token.kind == .open { return candidate < next }
    return token.kind == .word && Self.stops.contains(token.text) || token.isBinary && Self.strength(token.text) < strength
  }

  /// Whether a token is the first of a statement, by the lines alone.
  private func isStatementStart(_ index: Int) -> Bool {
    let token = self[index]
    guard index > 0, token.startsLine else { return index == 0 }
    let before = self[index - 1]
    if token.isBinary || token.kind == .close || token.text == "." || token.text == "?" { return false }
    return !(before.isBinary || before.text == "," || before.text == "(" || before.text == "[")
  }

  // Whether the next brace outside of brackets begins a block and no closure.
  private func isInCondition(_ index: Int) -> Bool {
    var current = index
    while true {
      if isKeyword(current, ["if", "guard", "while", "for", "switch", "where"]) { return true }
      if current == 0 || isStatementStart(current) || self[current - 1].kind == .open { return false }
      current = beginning(of: current - 1)
    }
  }

  // MARK: Conditions

  struct Condition {
    /// What is tested; of a binding, what is bound.
    let range: Range<Int>
    let isBinding: Bool
  }

  /// The conditions that an if, guard or while lists.
  func conditions(after index: Int) -> [Condition] {
    var conditions: [Condition] = []
    var first = index + 1
    var current = first
    while current < count {
      let token = self[current]
      let ends = token.text == "{" || token.text == "else" || token.kind == .close || current > first && isStatementStart(current)
      if ends || token.text == "," {
        if let condition = condition(first..<current) { conditions.append(condition) }
        first = current + 1
      }
      if ends { break }
      current = (partner[current] ?? current) + 1
    }
    return conditions
  }

  private func condition(_ clause: Range<Int>) -> Condition? {
    guard !clause.isEmpty, self[clause.lowerBound].text != "true" else { return nil }
    let end = self[clause.upperBound - 1].range.upperBound
    guard ["let", "var", "case"].contains(self[clause.lowerBound].text) else {
      return Condition(range: self[clause.lowerBound].range.lowerBound..<end, isBinding: false)
    }
    guard self[clause.lowerBound].text != "case", let equals = clause.first(where: { self[$0].text == "=" }) else { return nil }
    return Condition(range: self[equals + 1].range.lowerBound..<end, isBinding: true)
  }

  // MARK: Calls

  /// The statement that begins here, where it is nothing but a call.
  func callStatement(at index: Int) -> Range<Int>? {
    let name = self[index].text
    guard index > 0, !Self.stops.contains(name), !["init", "func", "get", "set"].contains(name), !name.hasPrefix("@") else { return nil }
    let before = self[index - 1]
    guard isStatementStart(index) || before.text == "{" || before.text == ";" else { return nil }
    var last = index
    if name == "_" {
      guard index + 2 < count, self[index + 1].text == "=" else { return nil }
      last = index + 2
    }
    while last + 1 < count, continuesChain(last + 1) { last = partner[last + 1] ?? last + 1 }
    guard last + 1 < count, self[last].text == ")" || self[last].text == "}" else { return nil }
    guard isStatementStart(last + 1) || self[last + 1].text == "}" || self[last + 1].text == ";" else { return nil }
    return self[index].range.lowerBound..<self[last].range.upperBound
  }

  private func continuesChain(_ index: Int) -> Bool {
    let token = self[index]
    if isStatementStart(index) || token.isBinary { return false }
    switch token.kind {
    case .open: return true
    case .symbol: return [".", "?", "!", "<", ">"].contains(token.text)
    case .word: return self[index - 1].text == "."
    default: return false
    }
  }
}
