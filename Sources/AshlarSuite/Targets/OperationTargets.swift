import Ashlar

// Operation programs, with the verbs that each target is about.
extension FuzzTarget {
  private static let usual: [Operation: Int] = [
    .allocate: 8, .reallocate: 3, .free: 6, .measure: 1, .verify: 1, .check: 1, .trim: 1, .purge: 1, .thread: 2, .endThread: 1,
    .releaseHuge: 1, .count: 1,
  ]

  private init(_ name: String, _ summary: String, _ grammar: Grammar, on subject: some Subject = SwiftSubject()) {
    self.init(
      name, summary, grammar, begin: { OperationRunner(subject) }, takeSteps: { $0.takeSteps($1) }, perform: { $0.perform($1) },
      close: { $0.close() })
  }

  private static func usual(_ others: [Operation: Int]) -> Grammar { Operation.grammar(usual.merging(others) { $1 }) }

  /// Without what is only Ashlar's to know.
  static let libraryGrammar = Operation.grammar(
    [.allocate: 8, .reallocate: 3, .free: 6, .measure: 1, .verify: 1, .trim: 1, .thread: 2, .endThread: 1])

  /// Operation programs on another allocator.
  static func library(_ functions: MallocFunctions) -> FuzzTarget {
    FuzzTarget("library", "operation programs on another allocator", libraryGrammar, on: CSubject(functions))
  }

  static let operations = FuzzTarget(
    "operations", "operation programs on all levels through the Swift interface, misuse and threads included",
    usual([.misuse: 2, .probe: 1, .refuse: 1])
  )

  static let operationsInC = FuzzTarget(
    "operations-c", "the same through the C interface", usual([.misuse: 2, .probe: 1, .guards: 1, .track: 1]), on: CSubject())

  static let alignment = FuzzTarget(
    "alignment", "blocks of every alignment from 1 B to 8 MiB, flushed, reused and handed from thread to thread",
    Operation.grammar([.allocate: 8, .free: 4, .thread: 2, .endThread: 1, .trim: 1, .purge: 1]), on: CSubject())

  static let layouts = FuzzTarget(
    "layouts", "base and user pointers: whatever lies near a block, guarded or not, is none unless it was handed out",
    Operation.grammar([.allocate: 6, .free: 3, .reallocate: 1, .probe: 8, .guards: 2, .trim: 1])
  )

  static let misuse = FuzzTarget(
    "misuse", "double and invalid frees, each reported with the right words, changing nothing",
    Operation.grammar([.allocate: 4, .free: 4, .misuse: 8, .thread: 1, .endThread: 1, .trim: 1, .verify: 1]), on: CSubject())

  static let guarded = FuzzTarget(
    "guarded", "guarded blocks and damage to them, recorded or not", usual([.misuse: 2, .damage: 4, .guards: 3, .track: 1, .access: 2])
  )

  static let systemFaults = FuzzTarget(
    "system-faults", "calls of the system that fail, once or for good, at any point", usual([.fail: 5, .guards: 1, .misuse: 1])
  )
}
