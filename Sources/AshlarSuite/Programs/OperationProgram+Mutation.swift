extension OperationProgram {
  /// A program a little different from this one: for a fuzzer that mutates programs rather than bytes.
  public func mutated(using generator: inout some RandomNumberGenerator) -> OperationProgram {
    var result = operations
    for _ in 0..<Int.random(in: 1...4, using: &generator) {
      let place = Int.random(in: 0...result.count, using: &generator)
      switch Int.random(in: 0..<6, using: &generator) {
      case 0 where place < result.count: result.remove(at: place)
      case 1 where place < result.count: result.insert(result[place], at: Int.random(in: 0...result.count, using: &generator))
      case 2 where !result.isEmpty: result.swapAt(place % result.count, Int.random(in: 0..<result.count, using: &generator))
      case 3 where place < result.count: result[place] = Self.random(using: &generator)
      default: result.insert(Self.random(using: &generator), at: place)
      }
    }
    return OperationProgram(result)
  }

  /// An operation of any kind, on one of a few slots more often than not, so that operations meet.
  private static func random(using generator: inout some RandomNumberGenerator) -> Operation {
    let slot = Int.random(in: 0..<(Bool.random(using: &generator) ? 4 : slots), using: &generator)
    let width = Int.random(in: 0...(Int.random(in: 0..<20, using: &generator) == 0 ? sizeBits : 18), using: &generator)
    let size = Int.random(in: 0..<(1 << width), using: &generator)
    switch Int.random(in: 0..<12, using: &generator) {
    case 0...3:
      return .allocate(
        slot: slot, size: size, alignmentExponent: Int.random(in: 0..<alignmentExponents, using: &generator),
        zeroed: Bool.random(using: &generator))
    case 4: return .reallocate(slot: slot, size: size)
    case 5...6: return .free(slot: slot, sized: Bool.random(using: &generator))
    case 7: return .measure(slot: slot)
    case 8: return .verify
    case 9: return Int.random(in: 0..<4, using: &generator) == 0 ? .trim : .free(slot: slot, sized: false)
    case 10: return .thread(Int.random(in: 0..<threads, using: &generator))
    default: return .misuse(slot: slot, Misuse.allCases.randomElement(using: &generator)!)
    }
  }
}
