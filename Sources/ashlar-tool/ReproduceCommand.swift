import ArgumentParser
import AshlarSuite
import Foundation

struct ReproduceCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "reproduce",
    abstract: "Replays an input of a fuzz target, step by step, and shrinks one that fails.",
    discussion: """
      FILE is a byte string that a fuzz target was given, or a program in the text form (a name that ends in .program).
      Exit code: 0 when nothing is wrong, 1 when something is, 64 for arguments that make no sense. A crash is a crash:
      the last line printed is the operation that it came from.
      """)

  @Argument(help: "The input.")
  var file: String

  @Option(help: "The fuzz target that the input is for: \(FuzzTarget.all.map(\.name).joined(separator: ", ")).")
  var target = "operations"

  @Flag(help: "Say only what is wrong.")
  var quiet = false

  func validate() throws {
    guard FuzzTarget.named(target) != nil else { throw ValidationError("No fuzz target is named '\(target)'.") }
  }

  func run() throws {
    guard let bytes = FileManager.default.contents(atPath: file).map({ [UInt8]($0) }) else {
      throw ValidationError("'\(file)' can't be read.")
    }
    let input = try Input(bytes: bytes, isText: file.hasSuffix(".program"), target: FuzzTarget.named(target)!)
    if !quiet { input.program.operations.isEmpty ? print("an empty program") : narrate(input.program) }
    guard !quiet else {
      guard let failure = input.target.run(input.bytes) else { return }
      print(failure)
      throw ExitCode(1)
    }
    guard let end = try run(input) else { return print("nothing is wrong") }
    print(end)
    let shortest = Shrinker.shrink(input.program) { program in
      (try? run(Input(program: program, like: input))) ?? nil != nil
    }
    print("the shortest program that still fails:\n\n\(shortest.text)\nas a test:\n\n\(Self.test(shortest))")
    throw ExitCode(1)
  }

  private func narrate(_ program: OperationProgram) {
    for (number, line) in program.text.split(separator: "\n").enumerated() { print("\("\(number)".aligned(to: 5))  \(line)") }
  }

  /// Runs an input in a process of its own, which may die. Answers what is wrong; nil when nothing is.
  private func run(_ input: Input) throws -> String? {
    let path = FileManager.default.temporaryDirectory.appending(path: "ashlar-\(UUID().uuidString)").path
    defer { try? FileManager.default.removeItem(atPath: path) }
    try Data(input.bytes).write(to: URL(filePath: path))
    let run = try ChildProcess.run(ownProgram, ["reproduce", "--quiet", "--target", target, path], seconds: Self.limit)
    switch run.end {
    case .exit(0): return nil
    case .exit: return run.output.trimmingCharacters(in: .newlines)
    case .signal(let number): return "\(run.output)died of signal \(number)"
    case .timeout: return "\(run.output)hung: not done after \(Int(Self.limit)) s"
    case .tooMuchMemory: return "\(run.output)took too much memory"
    }
  }

  /// Seconds for one run.
  private static let limit = 300.0

  private static func test(_ program: OperationProgram) -> String {
    let lines = program.text.split(separator: "\n").map { "    \($0)\n" }.joined()
    return """
      @Test func `a regression`() throws {
        let program = try OperationProgram(text: \"""
      \(lines)    \""")
        #expect(ProgramRunner.run(program) == nil)
      }
      """
  }
}

/// An input and the program in it.
private struct Input {
  let target: FuzzTarget
  let program: OperationProgram
  /// What stands before the program in the byte form.
  private let prefix: [UInt8]

  var bytes: [UInt8] { prefix + program.bytes }

  init(bytes: [UInt8], isText: Bool, target: FuzzTarget) throws {
    self.target = target
    prefix = isText ? [] : Array(bytes.prefix(target.prefixBytes))
    do {
      program = try isText
        ? OperationProgram(text: String(decoding: bytes, as: UTF8.self))
        : OperationProgram(bytes: bytes.dropFirst(target.prefixBytes))
    } catch {
      throw ValidationError("\(error)")
    }
  }

  init(program: OperationProgram, like other: Input) {
    target = other.target
    prefix = other.prefix
    self.program = program
  }
}
