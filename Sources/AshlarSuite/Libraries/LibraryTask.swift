import Foundation

/// What a child process is to do with a library, and the arguments that tell it so.
public struct LibraryTask: Sendable {
  public enum Work: String, Sendable { case check, program, misuse }

  public let work: Work
  /// Of a check or a misuse, or the file of a program.
  public let subject: String
  public let seed: UInt64

  /// Exit codes of the child beside that of success.
  public static let found: Int32 = 1
  public static let isMissing: Int32 = 69

  public init(_ work: Work, _ subject: String, seed: UInt64 = 1) {
    self.work = work
    self.subject = subject
    self.seed = seed
  }

  // MARK: In the child

  /// Does the work on `functions` and answers the exit code; nil for a name that is none.
  public func perform(_ functions: MallocFunctions, journal path: String) -> Int32? {
    guard let journal = Journal(path: path) else { return nil }
    journal.noteCrashes()
    // A crash here is nothing that anybody will look into with a debugger.
    var none = rlimit(rlim_cur: 0, rlim_max: 0)
    setrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &none)
    var functions = functions
    functions.journal = journal
    // What does not come back here was ended by the library.
    defer { journal[.isDone] = 1 }
    switch work {
    case .check:
      guard let check = Check.ofLibrary(functions).first(where: { $0.name == subject }) else { return nil }
      return check.run(seed: seed, share: 1, journal: journal, progress: { _ in }).passed ? 0 : Self.found
    case .program:
      let target = FuzzTarget.library(functions)
      guard let text = try? String(contentsOfFile: subject, encoding: .utf8), let program = try? target.grammar.program(text: text)
      else { return nil }
      guard let failure = target.run(program) else { return 0 }
      journal.write(.finding, failure)
      return Self.found
    case .misuse:
      guard let misuse = MisuseScenario.all.first(where: { $0.name == subject }) else { return nil }
      MisuseTrial(functions, journal).run(misuse)
      return 0
    }
  }

  // MARK: In the parent

  /// How the child ended, and what it left.
  struct Result {
    let run: ChildProcess.Run
    let journal: Journal

    /// Whether the child did all that it was to do, and found nothing.
    var passed: Bool { run.end == .exit(0) && journal[.isDone] == 1 }
  }

  /// Has a child do it: `program` with the arguments that make it one.
  func run(_ library: AllocatorLibrary, program: URL, seconds: Double) throws -> Result {
    let path = FileManager.default.temporaryDirectory.appending(path: "ashlar-\(UUID().uuidString)").path
    defer { unlink(path) }
    guard let journal = Journal(path: path) else { throw CocoaError(.fileWriteUnknown) }
    let run = try ChildProcess.run(
      program,
      ["inside", work.rawValue, subject, "--journal", path, "--seed", "\(seed)"] + library.arguments,
      environment: library.environment, seconds: seconds)
    return Result(run: run, journal: journal)
  }
}
