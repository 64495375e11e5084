import ArgumentParser
import AshlarSuite

/// What the tool starts itself as, where it may crash or hang.
struct InsideCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inside", abstract: "Does one task on a library, in the process that it was loaded into.", shouldDisplay: false)

  @Argument var work: LibraryTask.Work
  @Argument var subject: String
  @Option var journal: String
  @Option var library: String
  @Option var seed: UInt64 = 1

  func run() throws {
    guard let functions = AllocatorLibrary.functions(source: library) else { throw ExitCode(LibraryTask.isMissing) }
    guard let code = LibraryTask(work, subject, seed: seed).perform(functions, journal: journal) else {
      throw ValidationError("'\(subject)' can't be done.")
    }
    if code != 0 { throw ExitCode(code) }
  }
}

extension LibraryTask.Work: ExpressibleByArgument {}
