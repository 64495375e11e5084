import Foundation

/// Defects made by rule, at every place of a source that a rule fits (mutation operators; DeMillo, Lipton and Sayward,
/// "Hints on test data selection", 1978).
///
/// | rule       | what becomes of the place                                             |
/// |------------|-----------------------------------------------------------------------|
/// | `negate`   | a comparison says the opposite                                        |
/// | `edge`     | a comparison takes in its limit or leaves it out: < and <=, > and >=  |
/// | `constant` | an integer is one more                                                |
/// | `call`     | a call whose result nobody uses is left out                           |
/// | `true`     | a condition of an if, guard or while holds always                     |
/// | `false`    | it never holds; what it binds is nil                                  |
/// | `swap`     | + and -, & and \|, << and >>, && and \|\| change places                |
///
/// Left out are functions that begin with `check`, with which the suite itself looks, what stands between `#if` and
/// `#endif`, and constants that only scatter (hashes, random numbers).
///
/// A name has the file, the function, the rule, and a number that counts the rule's places in functions of that name; so
/// it outlives all edits but those of its function.
public struct Generator {
  private let tokens: SwiftTokens
  private let path: String
  private var counts: [String: Int] = [:]
  private var defects: [Defect] = []
  /// For each token the declaration that it is part of.
  private let owners: [String]

  /// All defects that there are in the allocator's files, in the package at `root`.
  public static func defects(root: URL) throws -> [Defect] {
    let folder = "Sources/Ashlar"
    let paths = try FileManager.default.subpathsOfDirectory(atPath: root.appending(path: folder).path)
    return try paths.filter { $0.hasSuffix(".swift") }.sorted().flatMap { path in
      defects(in: try String(contentsOf: root.appending(path: "\(folder)/\(path)"), encoding: .utf8), path: "\(folder)/\(path)")
    }
  }

  /// All defects that there are in the source at `path`, in their order there.
  public static func defects(in text: String, path: String) -> [Defect] {
    var generator = Generator(text, path)
    generator.generate()
    return generator.defects
  }

  private init(_ text: String, _ path: String) {
    tokens = SwiftTokens(text)
    self.path = path
    owners = Owners(tokens).names
  }

  private mutating func generate() {
    for index in 0..<tokens.count where !owners[index].hasPrefix("check") {
      let token = tokens[index]
      switch token.kind {
      case .symbol where token.isBinary: replaceOperator(index)
      case .number: raiseConstant(index)
      case .word: if tokens.isKeyword(index, ["if", "guard", "while"]) { forceConditions(index) } else { removeCall(index) }
      default: break
      }
    }
  }

  private mutating func add(_ rule: String, at index: Int, _ range: Range<Int>, _ mutated: String, _ kind: Defect.Kind = .expression) {
    let file = path.split(separator: "/").last.map { $0.dropLast(".swift".count) } ?? ""
    let place = [String(file), owners[index], rule].filter { !$0.isEmpty }.joined(separator: ".")
    counts[place, default: 0] += 1
    var defect = Defect()
    defect.name = "\(place)-\(counts[place, default: 0])"
    defect.kinds = [rule]
    defect.file = path
    defect.kind = kind
    defect.original = tokens.text(range)
    defect.mutated = mutated
    defect.range = range
    let effect = mutated == "()" ? "Leaves out \(defect.original)" : "Has \(mutated) for \(defect.original)"
    defect.effect = effect.replacing(#/\s+/#, with: " ")
    defects.append(defect)
  }

  // MARK: Operators

  private static let opposites = ["==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">"]
  private static let edges = ["<": "<=", "<=": "<", ">": ">=", ">=": ">"]
  private static let swaps = [
    "+": "-", "-": "+", "&+": "&-", "&-": "&+", "&": "|", "|": "&", "<<": ">>", ">>": "<<", "&<<": "&>>", "&>>": "&<<",
    "&&": "||", "||": "&&",
  ]

  private mutating func replaceOperator(_ index: Int) {
    let name = tokens[index].text
    if let opposite = Self.opposites[name] { replaceOperator("negate", index, opposite) }
    if let edge = Self.edges[name] { replaceOperator("edge", index, edge) }
    if let other = Self.swaps[name] { replaceOperator("swap", index, other) }
    if name.hasSuffix("="), let other = Self.swaps[String(name.dropLast())] { replaceOperator("swap", index, other + "=", .statement) }
  }

  private mutating func replaceOperator(_ rule: String, _ index: Int, _ other: String, _ kind: Defect.Kind = .expression) {
    let place = tokens.expression(around: index)
    let own = tokens[index].range
    let mutated = tokens.text(place.lowerBound..<own.lowerBound) + other + tokens.text(own.upperBound..<place.upperBound)
    add(rule, at: index, place, mutated, kind)
  }

  private mutating func raiseConstant(_ index: Int) {
    // A member of a tuple has a number for its name.
    if index > 0, tokens[index - 1].text == "." { return }
    if Self.isMixer(tokens[index].text) { return }
    add("constant", at: index, tokens[index].range, "\(tokens[index].text) + 1")
  }

  // A hexadecimal integer of more than 32 bits is the multiplier of a hash or of a random generator: the next one scatters as
  // well, and no program can tell.
  private static func isMixer(_ text: String) -> Bool {
    text.hasPrefix("0x") && text.dropFirst(2).filter { $0 != "_" }.drop { $0 == "0" }.count > 8
  }

  // MARK: Conditions

  private mutating func forceConditions(_ index: Int) {
    for condition in tokens.conditions(after: index) {
      if !condition.isBinding { add("true", at: index, condition.range, "true") }
      add("false", at: index, condition.range, condition.isBinding ? "nil" : "false")
    }
  }

  // MARK: Calls

  private mutating func removeCall(_ index: Int) {
    if let range = tokens.callStatement(at: index) { add("call", at: index, range, "()", .statement) }
  }
}

/// Which function, initializer or property each token is part of; empty outside of all.
private struct Owners {
  private(set) var names: [String] = []

  init(_ tokens: SwiftTokens) {
    // What each open brace belongs to: nothing, where it is that of a type.
    var open: [String?] = []
    var declared: String?
    var parentheses = 0
    for index in 0..<tokens.count {
      let token = tokens[index]
      let function = open.compactMap(\.self).first
      if function == nil, token.kind == .word, index + 1 < tokens.count { Self.read(tokens, index, &declared) }
      names.append(function ?? declared ?? "")
      // What a parameter's default has between its braces is no body.
      if token.text == "(" { parentheses += 1 }
      if token.text == ")" { parentheses -= 1 }
      if token.text == "{" { open.append(function ?? declared) }
      if token.text == "}" {
        open = open.dropLast()
        if parentheses == 0, open.allSatisfy({ $0 == nil }) { declared = nil }
      }
    }
  }

  private static func read(_ tokens: SwiftTokens, _ index: Int, _ declared: inout String?) {
    let next = tokens[index + 1]
    switch tokens[index].text {
    case "func", "var", "let": declared = next.kind == .word ? next.text.filter { $0 != "`" } : "operator"
    case "init", "subscript": if index == 0 || tokens[index - 1].text != "." { declared = tokens[index].text }
    case "struct", "enum", "extension", "protocol", "class": declared = nil
    default: break
    }
  }
}
