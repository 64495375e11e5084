import Ashlar

/// Something that takes any program of its grammar and says what is wrong with what the allocator made of it.
///
/// One program at a time in a process.
public struct FuzzTarget: Sendable {
  /// Told before each step: its number and its line.
  public typealias Narrator = (Int, String) -> Void

  public let name: String
  public let summary: String
  public let grammar: Grammar
  private let body: @Sendable ([Step], (Int) -> Void) -> Finding?

  /// What is wrong, and at which step where it is known.
  private struct Finding {
    var step: Int?
    let text: String
  }

  public static let all: [FuzzTarget] = [
    operations, operationsInC, alignment, arithmetic, layouts, misuse, guarded, systemFaults, buddy, slabs, sizeClasses,
    objectPools, arenas, schedules, threads,
  ]

  public static func named(_ name: String) -> FuzzTarget? { all.first { $0.name == name } }

  /// The target whose name a file's begins with, as in `operations-c-1b2f`.
  public static func named(forFile name: String) -> FuzzTarget? {
    all.filter { name.hasPrefix($0.name + "-") }.max { $0.name.count < $1.name.count }
  }

  /// A target whose programs are carried out as a whole.
  init(
    _ name: String, _ summary: String, _ grammar: Grammar, whole: @escaping @Sendable ([Step], (Int) -> Void) -> String?
  ) {
    self.name = name
    self.summary = summary
    self.grammar = grammar
    body = { program, tell in whole(program, tell).map { Finding(text: $0) } }
  }

  /// A target whose programs are carried out step by step. What is reported to the fault handler and not taken from it is
  /// a finding too.
  ///
  /// - Parameters:
  ///   - begin: makes what the steps work on.
  ///   - takeSteps: calls, where a step is to be done, what takes the next one and answers whether there was one, until there
  ///     is none.
  ///   - perform: does a step, and answers what is wrong.
  ///   - close: gives everything back, whatever came before, and answers what is wrong.
  init<Work>(
    _ name: String, _ summary: String, _ grammar: Grammar, begin: @escaping @Sendable () -> Work,
    takeSteps: @escaping @Sendable (Work, () -> Bool) -> Void = { while $1() {} },
    perform: @escaping @Sendable (Work, Step) -> String?, close: @escaping @Sendable (Work) -> String?
  ) {
    self.name = name
    self.summary = summary
    self.grammar = grammar
    body = { program, tell in
      let work = begin()
      var finding: Finding?
      var unasked: String? { FaultRecorder.take().first.map { "reported \($0)" } }
      _ = FaultRecorder.record {
        var number = 0
        takeSteps(work) {
          guard number < program.count, finding == nil else { return false }
          tell(number)
          finding = (perform(work, program[number]) ?? unasked).map { Finding(step: number, text: $0) }
          number += 1
          return true
        }
        let last = close(work) ?? unasked
        finding = finding ?? last.map { Finding(text: "at the end: \($0)") }
      }
      return finding
    }
  }

  /// Runs a program, and answers what is wrong; nil when nothing is.
  public func run(_ program: [Step], narrator: Narrator? = nil) -> String? {
    let finding = body(program) { narrator?($0, grammar.line(program[$0])) }
    return finding.map { finding in (finding.step.map { "step \($0), \(grammar.line(program[$0])): " } ?? "") + finding.text }
  }

  /// Runs the program that a byte string stands for.
  public func run(_ bytes: [UInt8]) -> String? { run(grammar.program(bytes)) }

  /// Runs a program in the text form.
  public func run(text: String) throws(Grammar.SyntaxError) -> String? { run(try grammar.program(text: text)) }
}

extension FuzzTarget {
  /// What is wrong when all blocks of a program should be free: nil where none is counted as live. Reclaims them first.
  static func blocksLeft() -> String? {
    let pool = PoolAllocator()
    pool.reclaim()
    return pool.statistics().total.liveBlocks == 0 ? nil : "blocks are counted as live at the end"
  }
}
