import ArgumentParser
import AshlarSuite
import Foundation

struct ReproduceCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "reproduce",
    abstract: "Replays an input of a fuzz target, step by step, and shrinks one that fails.",
    discussion: """
      FILE is a byte string that a fuzz target was given, or a program in the text form (a name that ends in .program). The
      target is the one of the folder that FILE lies in, or whose name FILE's begins with, unless --target names it.
      Exit code: 0 when nothing is wrong, 1 when something is, 64 for arguments that make no sense.
      """)

  @Argument(help: "The input.")
  var file: String

  @Option(help: "The fuzz target that the input is for: \(FuzzTarget.all.map(\.name).joined(separator: ", ")).")
  var target: String?

  @Flag(help: "Say only what is wrong.")
  var quiet = false

  func run() throws {
    let target = try chosenTarget()
    guard let bytes = FileManager.default.contents(atPath: file).map({ [UInt8]($0) }) else {
      throw ValidationError("'\(file)' can't be read.")
    }
    let program = try program(bytes, target)
    if quiet {
      guard let failure = target.run(program) else { return }
      print(failure)
      throw ExitCode(1)
    }
    for (number, step) in program.enumerated() { print("\("\(number)".aligned(to: 5))  \(target.grammar.line(step))") }
    if program.isEmpty { print("an empty program") }
    guard let end = try failure(program, target) else { return print("nothing is wrong") }
    print(end)
    let shortest = Shrinker.shrink(program, in: target.grammar) { (try? failure($0, target)) ?? nil != nil }
    let text = target.grammar.text(shortest)
    print("the shortest program that still fails:\n\n\(text)\nas a test:\n\n\(Self.test(text, target))")
    throw ExitCode(1)
  }

  private func chosenTarget() throws -> FuzzTarget {
    if let target {
      guard let found = FuzzTarget.named(target) else { throw ValidationError("No fuzz target is named '\(target)'.") }
      return found
    }
    let url = URL(filePath: file)
    let folder = url.deletingLastPathComponent().lastPathComponent
    return FuzzTarget.named(folder) ?? FuzzTarget.named(forFile: url.lastPathComponent) ?? FuzzTarget.named("operations")!
  }

  private func program(_ bytes: [UInt8], _ target: FuzzTarget) throws -> [Step] {
    guard file.hasSuffix(".program") else { return target.grammar.program(bytes) }
    do { return try target.grammar.program(text: String(decoding: bytes, as: UTF8.self)) } catch { throw ValidationError("\(error)") }
  }

  /// Runs a program in a process of its own, which may die. Answers what is wrong; nil when nothing is.
  private func failure(_ program: [Step], _ target: FuzzTarget) throws -> String? {
    let path = FileManager.default.temporaryDirectory.appending(path: "ashlar-\(UUID().uuidString).program").path
    defer { try? FileManager.default.removeItem(atPath: path) }
    try Data(target.grammar.text(program).utf8).write(to: URL(filePath: path))
    let run = try ChildProcess.run(ownProgram, ["reproduce", "--quiet", "--target", target.name, path], seconds: Self.limit)
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

  private static func test(_ text: String, _ target: FuzzTarget) -> String {
    let lines = text.split(separator: "\n").map { "    \($0)\n" }.joined()
    return """
      @Test func `a regression`() throws {
        #expect(try FuzzTarget.named("\(target.name)")!.run(text: \"""
      \(lines)    \""") == nil)
      }
      """
  }
}
