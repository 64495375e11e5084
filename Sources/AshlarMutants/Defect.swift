/// A defect to be seeded: a place in the sources, and what stands there instead.
public struct Defect: Sendable {
  /// What is put in place of what.
  public enum Kind: String, Sendable {
    case expression, statement
  }

  public var name = ""
  /// Of the stock in docs/mutants.md, by number; or the level, bound or state that it is about.
  public var kinds: [String] = []
  /// Below the package's root.
  public var file = ""
  public var kind = Kind.expression
  /// What it does, in a sentence.
  public var effect = ""
  /// What is expected to find it, tried first.
  public var killers: [Killer] = []
  /// Occurs once in the file. What lies between « and » is replaced; all of it where there are none.
  public var original = ""
  public var mutated = ""
  /// Where the original is, in UTF-8 bytes; nil where its text tells.
  var range: Range<Int>?

  public init() {}

  /// The numbers of the stock's classes that it belongs to.
  public var classes: [Int] { kinds.compactMap { Int($0) } }
}

/// A part of the suite, as it is called on the command line.
public enum Killer: Hashable, Sendable, CustomStringConvertible {
  case model(String)
  case check(String)

  public init?(_ text: String) {
    let words = text.split(separator: " ").map(String.init)
    switch (words.first, words.count) {
    case ("explore", 2): self = .model(words[1])
    case ("check", 2): self = .check(words[1])
    default: return nil
    }
  }

  public var description: String {
    switch self {
    case .model(let name): "explore \(name)"
    case .check(let name): "check \(name)"
    }
  }
}
