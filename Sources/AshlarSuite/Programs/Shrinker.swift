/// Makes a failing program shorter while it goes on failing (delta debugging, Zeller and Hildebrandt 2002).
public enum Shrinker {
  /// - Parameter fails: whether a program still fails; called O(n²) times at worst.
  /// - Returns: a program that fails and does not when any one of its operations is left out, with sizes and
  ///   alignments made smaller where that changes nothing.
  public static func shrink(
    _ program: OperationProgram, fails: (OperationProgram) -> Bool
  ) -> OperationProgram {
    var current = program
    var length = max(1, current.operations.count / 2)
    while true {
      var removed = false
      var start = 0
      while start < current.operations.count {
        var shorter = current
        shorter.operations.removeSubrange(start..<min(start + length, current.operations.count))
        if fails(shorter) {
          current = shorter
          removed = true
        } else {
          start += length
        }
      }
      if length == 1, !removed { break }
      if !removed || length > current.operations.count { length = max(1, length / 2) }
    }
    for index in current.operations.indices {
      while let simpler = simpler(current.operations[index]) {
        var candidate = current
        candidate.operations[index] = simpler
        guard fails(candidate) else { break }
        current = candidate
      }
    }
    return current
  }

  /// The same operation with half the size, or half the alignment, or no zeroing; nil when it is as simple as can be.
  private static func simpler(_ operation: OperationProgram.Operation) -> OperationProgram.Operation? {
    switch operation {
    case .allocate(let slot, let size, let exponent, let zeroed):
      if zeroed { return .allocate(slot: slot, size: size, alignmentExponent: exponent, zeroed: false) }
      if exponent > 0 { return .allocate(slot: slot, size: size, alignmentExponent: exponent - 1, zeroed: false) }
      return size > 1 ? .allocate(slot: slot, size: size / 2, alignmentExponent: 0, zeroed: false) : nil
    case .reallocate(let slot, let size): return size > 1 ? .reallocate(slot: slot, size: size / 2) : nil
    case .free(let slot, sized: true): return .free(slot: slot, sized: false)
    default: return nil
    }
  }
}
