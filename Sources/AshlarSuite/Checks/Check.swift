
/// One check of the battery.
public struct Check: Sendable {
  /// How it is named on the command line.
  public let name: String
  /// What it does, in a line.
  public let summary: String
  let body: @Sendable (CheckContext) -> Void

  init(_ name: String, _ summary: String, _ body: @escaping @Sendable (CheckContext) -> Void) {
    self.name = name
    self.summary = summary
    self.body = body
  }

  /// What came of a check.
  public struct Outcome: Sendable {
    public let name: String
    /// Operations, rounds or cases done.
    public let rounds: Int
    public let seconds: Double
    public let findings: [String]
    /// What was measured or left out, in a few words.
    public let note: String
    public var passed: Bool { findings.isEmpty }
  }

  /// Runs it. The same seed and share repeat it, but for how threads interleave.
  ///
  /// - Parameter share: how much of the usual work is done, above 0 to 1: less where every step takes longer, as under a
  ///   sanitizer. What is done a few times only is done in full.
  public func run(seed: UInt64, share: Double, progress: @escaping @Sendable (Double) -> Void) -> Outcome {
    run(seed: seed, share: share, journal: nil, progress: progress)
  }

  /// - Parameter journal: what is found is written to at once, if given.
  func run(seed: UInt64, share: Double, journal: Journal?, progress: @escaping @Sendable (Double) -> Void) -> Outcome {
    let context = CheckContext(check: name, seed: seed, share: share, journal: journal, progress: progress)
    let clock = ContinuousClock()
    let duration = clock.measure { body(context) }
    let (whole, atto) = duration.components
    return context.outcome(name: name, seconds: Double(whole) + Double(atto) / 1e18)
  }
}

/// What a running check is given, and where it reports to. Thread-safe.
final class CheckContext: Sendable {
  let check: String
  let seed: UInt64
  private let share: Double
  private let journal: Journal?
  private let progress: @Sendable (Double) -> Void
  private let state = Guarded(State())

  private struct State {
    var rounds = 0
    var findings: [String] = []
    var note = ""
  }

  init(check: String, seed: UInt64, share: Double, journal: Journal?, progress: @escaping @Sendable (Double) -> Void) {
    self.check = check
    self.journal = journal
    self.seed = seed
    self.share = share
    self.progress = progress
  }

  func generator(_ index: Int = 0) -> SeededGenerator { SeededGenerator(seed: seed, part: check, index: index) }

  /// How many of `usual` rounds to do, at least one.
  func share(of usual: Int) -> Int { max(1, Int((Double(usual) * share).rounded())) }

  func count(_ rounds: Int) {
    state.withLock {
      $0.rounds += rounds
      journal?[.rounds] = $0.rounds
    }
  }

  /// Something is wrong.
  func find(_ text: String) {
    state.withLock {
      guard $0.findings.count < 20 else { return }
      journal?.write(.finding, text)
      $0.findings.append(text)
    }
  }

  func require(_ condition: Bool, _ text: @autoclosure () -> String) {
    if !condition { find(text()) }
  }

  func note(_ text: String) {
    state.withLock {
      journal?.write(.note, text)
      $0.note = text
    }
  }

  /// `done` of `total` are finished.
  func advance(_ done: Int, of total: Int) {
    if done % max(1, total / 200) == 0 { progress(Double(done) / Double(total)) }
  }

  /// Takes over what an oracle found, after it has given everything back.
  func close(_ oracle: inout Oracle) {
    oracle.verifyAll()
    oracle.freeAll()
    if oracle.whenFound == nil { oracle.findings.forEach(find) }
  }

  fileprivate func outcome(name: String, seconds: Double) -> Check.Outcome {
    state.withLock {
      Check.Outcome(name: name, rounds: $0.rounds, seconds: seconds, findings: $0.findings, note: $0.note)
    }
  }
}
