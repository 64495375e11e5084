/// What the programs of a fuzz target are made of: verbs, each with parameters.
///
/// One description gives the byte form, in which every byte string is a program, the text form, which a person reads and
/// edits, and the mutation, crossover and shrinking of programs. The forms are lossless in both directions.
public struct Grammar: Sendable {
  /// What a step says besides its verb.
  public struct Parameter: Sendable {
    enum Kind: Sendable {
      /// 0 to one below the limit, at most 256.
      case number(below: Int)
      /// A number of up to so many bits, printed unsigned.
      case bits(Int)
      /// A power of two, kept as its exponent.
      case power(exponents: Int)
      case word([String])
      /// 1 where its keyword stands.
      case flag
    }

    /// Stands before the value in the text form; empty where the value speaks for itself.
    let keyword: String
    let kind: Kind

    static func number(_ keyword: String = "", below limit: Int) -> Parameter { Parameter(keyword: keyword, kind: .number(below: limit)) }
    static func bits(_ keyword: String, _ bits: Int) -> Parameter { Parameter(keyword: keyword, kind: .bits(bits)) }
    static func power(_ keyword: String, exponents: Int) -> Parameter { Parameter(keyword: keyword, kind: .power(exponents: exponents)) }
    static func word(_ words: [String]) -> Parameter { Parameter(keyword: "", kind: .word(words)) }
    static func flag(_ keyword: String) -> Parameter { Parameter(keyword: keyword, kind: .flag) }
  }

  public struct Verb: Sendable {
    public let name: String
    let parameters: [Parameter]

    init(_ name: String, _ parameters: Parameter...) {
      precondition(parameters.count <= Step.limit)
      self.name = name
      self.parameters = parameters
    }
  }

  public let verbs: [Verb]
  /// The verb that a byte stands for: one of these, taken round and round. A verb that is likelier stands here more often.
  let codes: [Int]

  /// - Parameter weights: how many codes each verb has in the byte form; a verb that is not named has one. One with none is
  ///   never written by a fuzzer, but may stand in a text.
  init(_ verbs: [Verb], weights: [String: Int] = [:]) {
    precondition(weights.keys.allSatisfy { name in verbs.contains { $0.name == name } }, "a weight for no verb")
    self.verbs = verbs
    codes = verbs.indices.flatMap { Array(repeating: $0, count: weights[verbs[$0].name] ?? 1) }
    precondition(!codes.isEmpty && codes.count <= 256)
  }
}

/// A verb of a grammar with the values of its parameters.
public struct Step: Equatable, Sendable {
  static let limit = 4

  public let verb: Int
  public var values: SIMD4<Int>

  public init(_ verb: Int, _ values: Int...) {
    self.verb = verb
    self.values = .zero
    for (index, value) in values.enumerated() { self.values[index] = value }
  }

  public subscript(index: Int) -> Int { values[index] }
}

// MARK: The byte form

extension Grammar {
  /// The program that a byte string stands for; there is one for every byte string. O(bytes).
  public func program(_ bytes: [UInt8]) -> [Step] {
    var reader = ByteReader(bytes)
    var program: [Step] = []
    while let step = step(&reader) { program.append(step) }
    return program
  }

  /// The shortest byte string that stands for a program.
  ///
  /// - Precondition: none of its verbs has a weight of 0.
  public func bytes(_ program: [Step]) -> [UInt8] {
    var bytes: [UInt8] = []
    for step in program {
      guard let code = codes.firstIndex(of: step.verb) else { preconditionFailure("\(verbs[step.verb].name) has no byte form here") }
      bytes.append(UInt8(code))
      for (index, parameter) in verbs[step.verb].parameters.enumerated() { bytes += parameter.bytes(step[index]) }
    }
    return bytes
  }

  private func step(_ reader: inout ByteReader) -> Step? {
    guard let code = reader.number(below: codes.count) else { return nil }
    var step = Step(codes[code])
    for (index, parameter) in verbs[step.verb].parameters.enumerated() {
      guard let value = parameter.read(&reader) else { return nil }
      step.values[index] = value
    }
    return step
  }
}

extension Grammar.Parameter {
  /// Values are below this; nil where bits are counted.
  var limit: Int? {
    switch kind {
    case .number(let limit): limit
    case .power(let exponents): exponents
    case .word(let words): words.count
    case .flag: 2
    case .bits: nil
    }
  }

  func read(_ reader: inout ByteReader) -> Int? {
    if case .bits(let bits) = kind { return reader.number(bits: bits) }
    return reader.number(below: limit!)
  }

  func bytes(_ value: Int) -> [UInt8] {
    if case .bits = kind { return ByteReader.bytes(of: value) }
    return [UInt8(value)]
  }
}
