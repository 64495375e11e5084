import AshlarSuite
import Testing

/// The command-line tool as its user runs it.
@Suite struct CommandTests {
  private func ashlar(_ arguments: String...) throws -> ProgramResult { try run(ashlarProgram, arguments) }

  @Test func `--list shows every check with a summary`() throws {
    let result = try ashlar("check", "--list")
    let lines = result.output.split(separator: "\n")
    #expect(result.code == 0 && lines.count == Battery.checks.count && result.errors == "")
    #expect(lines.allSatisfy { $0.split(separator: " ").count > 3 })
  }

  @Test func `a run prints its seed first, a table at the end, and repeats`() throws {
    let first = try ashlar("check", "--only", "boundaries,bad-input", "--seed", "7")
    #expect(first.code == 0 && first.errors == "")
    let lines = first.output.split(separator: "\n")
    #expect(lines.first == "seed 7" && lines.last == "2 passed, 0 failed")
    #expect(lines.contains { $0.hasPrefix("ok     boundaries") } && !first.output.contains("\r"))
    #expect(lines.contains { $0.hasPrefix("check ") && $0.hasSuffix("result") })
  }

  @Test func `without a seed it makes one up`() throws {
    let lines = try ashlar("check", "--only", "bad-input").output.split(separator: "\n")
    #expect(lines.first?.wholeMatch(of: #/seed [0-9]+/#) != nil)
  }

  @Test(arguments: [
    (["check", "--seed", "x"], "seed"), (["check", "--seed", "-1"], "seed"), (["check", "--only", "nothing"], "nothing"),
    (["check", "--only", ""], "--list"), (["check", "--minutes", "-1"], "minutes"), (["check", "--minutes", "x"], "minutes"),
    (["check", "--what"], "--what"), (["chekc"], "chekc"),
  ]) func `arguments that make no sense are refused with one clear line`(arguments: [String], named: String) throws {
    let result = try run(ashlarProgram, arguments)
    #expect(result.code == 64 && result.output == "")
    #expect(result.errors.hasPrefix("Error: ") && result.errors.contains(named))
  }

  @Test func `a finding makes the run fail and says how to repeat it`() throws {
    // The system refuses memory: blocks that a check must get can't be had.
    let result = try run("bash", ["-c", "ulimit -v 400000; exec '\(ashlarProgram)' check --only boundaries --seed 3"])
    #expect(result.code == 1)
    #expect(result.output.contains("FAILED boundaries") && result.output.contains("1 failed"))
    #expect(result.output.contains("repeat with: ashlar check --only boundaries --seed 3"))
  }
}
