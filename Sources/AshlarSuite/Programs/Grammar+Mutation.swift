// For a fuzzer that changes programs rather than bytes.
extension Grammar {
  /// A program a little different: steps repeated, moved, dropped, changed in one value, or new.
  public func mutated(_ program: [Step], using generator: inout some RandomNumberGenerator) -> [Step] {
    var result = program
    for _ in 0..<Int.random(in: 1...4, using: &generator) {
      let place = Int.random(in: 0...result.count, using: &generator)
      switch Int.random(in: 0..<8, using: &generator) {
      case 0 where place < result.count: result.remove(at: place)
      case 1 where place < result.count: result.insert(result[place], at: Int.random(in: 0...result.count, using: &generator))
      case 2 where !result.isEmpty: result.swapAt(place % result.count, Int.random(in: 0..<result.count, using: &generator))
      case 3 where place < result.count: result[place] = randomStep(using: &generator)
      case 4...5 where place < result.count: change(&result[place], using: &generator)
      default: result.insert(randomStep(using: &generator), at: place)
      }
    }
    return result
  }

  /// The beginning of one program and the end of another, or one with a stretch of the other put in.
  public func crossed(_ one: [Step], _ other: [Step], using generator: inout some RandomNumberGenerator) -> [Step] {
    let cut = Int.random(in: 0...one.count, using: &generator)
    let first = Int.random(in: 0...other.count, using: &generator)
    if Bool.random(using: &generator) { return Array(one[..<cut] + other[first...]) }
    let last = Int.random(in: first...other.count, using: &generator)
    return Array(one[..<cut] + other[first..<last] + one[cut...])
  }

  /// A step of any verb, as likely as its weight.
  func randomStep(using generator: inout some RandomNumberGenerator) -> Step {
    var step = Step(codes.randomElement(using: &generator)!)
    for (index, parameter) in verbs[step.verb].parameters.enumerated() { step.values[index] = parameter.random(using: &generator) }
    return step
  }

  private func change(_ step: inout Step, using generator: inout some RandomNumberGenerator) {
    let parameters = verbs[step.verb].parameters
    guard let index = parameters.indices.randomElement(using: &generator) else { return }
    step.values[index] = parameters[index].changed(step[index], using: &generator)
  }
}

extension Grammar.Parameter {
  func random(using generator: inout some RandomNumberGenerator) -> Int {
    switch kind {
    // One of a few more often than not, so that steps meet.
    case .number(let limit): Int.random(in: 0..<(Bool.random(using: &generator) ? min(4, limit) : limit), using: &generator)
    case .bits(let bits): Self.random(bits: bits, using: &generator)
    case .power(let exponents): Int.random(in: 0..<exponents, using: &generator)
    case .word(let words): Int.random(in: 0..<words.count, using: &generator)
    case .flag: Int.random(in: 0...1, using: &generator)
    }
  }

  // Small ones above all; now and then any, and now and then one beside a power of two.
  private static func random(bits: Int, using generator: inout some RandomNumberGenerator) -> Int {
    let rare = Int.random(in: 0..<16, using: &generator) == 0
    let width = Int.random(in: 0...(rare ? bits : min(bits, 14)), using: &generator)
    let limit: UInt = width == UInt.bitWidth ? .max : (1 << UInt(width)) - 1
    let value = UInt.random(in: 0...limit, using: &generator)
    guard width > 0, Int.random(in: 0..<4, using: &generator) == 0 else { return Int(bitPattern: value) }
    return near(Int(bitPattern: 1 << UInt(width - 1)), bits: bits, using: &generator)
  }

  private static func near(_ value: Int, bits: Int, using generator: inout some RandomNumberGenerator) -> Int {
    let mask: UInt = bits == UInt.bitWidth ? .max : (1 << UInt(bits)) - 1
    return Int(bitPattern: UInt(bitPattern: value &+ Int.random(in: -17...17, using: &generator)) & mask)
  }

  /// A value near by, or any.
  func changed(_ value: Int, using generator: inout some RandomNumberGenerator) -> Int {
    guard Bool.random(using: &generator) else { return random(using: &generator) }
    if case .bits(let bits) = kind { return Self.near(value, bits: bits, using: &generator) }
    let limit = limit!
    return (value + (Bool.random(using: &generator) ? 1 : limit - 1)) % limit
  }

  /// The next simpler value, for shrinking; nil when it is as simple as can be.
  func simpler(_ value: Int) -> Int? {
    switch kind {
    case .bits: value == 0 ? nil : Int(bitPattern: UInt(bitPattern: value) / 2)
    case .power, .number: value == 0 ? nil : value - 1
    case .flag: value == 0 ? nil : 0
    case .word: nil
    }
  }
}
