/// Makes a failing program shorter while it goes on failing (delta debugging, Zeller and Hildebrandt 2002).
public enum Shrinker {
  /// - Parameter fails: whether a program still fails; called O(n²) times at worst.
  /// - Returns: a program that fails and does not when any one of its steps is left out, with values made smaller where
  ///   that changes nothing.
  public static func shrink(_ program: [Step], in grammar: Grammar, fails: ([Step]) -> Bool) -> [Step] {
    var current = program
    var length = max(1, current.count / 2)
    while true {
      var removed = false
      var start = 0
      while start < current.count {
        var shorter = current
        shorter.removeSubrange(start..<min(start + length, current.count))
        if fails(shorter) {
          current = shorter
          removed = true
        } else {
          start += length
        }
      }
      if length == 1, !removed { break }
      if !removed || length > current.count { length = max(1, length / 2) }
    }
    for index in current.indices { simplify(&current, index, grammar, fails) }
    return current
  }

  private static func simplify(_ program: inout [Step], _ index: Int, _ grammar: Grammar, _ fails: ([Step]) -> Bool) {
    for (place, parameter) in grammar.verbs[program[index].verb].parameters.enumerated() {
      while let simpler = parameter.simpler(program[index][place]) {
        var candidate = program
        candidate[index].values[place] = simpler
        guard fails(candidate) else { break }
        program = candidate
      }
    }
  }
}
