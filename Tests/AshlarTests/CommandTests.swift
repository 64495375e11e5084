import AshlarSuite
import Foundation
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
    (["check", "--what"], "--what"), (["chekc"], "chekc"), (["check", "--share", "0"], "share"),
    (["check", "--except", "nothing"], "nothing"), (["check", "--only", "levels", "--except", "levels"], "--except"),
    (["check", "--only", "levels", "--junit", "/nowhere/file"], "/nowhere/file"),
  ]) func `arguments that make no sense are refused with one clear line`(arguments: [String], named: String) throws {
    let result = try run(ashlarProgram, arguments)
    #expect(result.code == 64 && result.output == "")
    #expect(result.errors.hasPrefix("Error: ") && result.errors.contains(named))
  }

  @Test(.enabled(if: !isWatched)) func `a finding makes the run fail and says how to repeat it`() throws {
    // The system refuses memory: blocks that a check must get can't be had.
    let result = try run("bash", ["-c", "ulimit -v 400000; exec '\(ashlarProgram)' check --only boundaries --seed 3"])
    #expect(result.code == 1)
    #expect(result.output.contains("FAILED boundaries") && result.output.contains("1 failed"))
    #expect(result.output.contains("repeat with: ashlar check --only boundaries --seed 3"))
  }

  @Test(.enabled(if: !isWatched)) func `results are written as XML and as a page, also by a run that ends early`() throws {
    let (junit, html) = (try temporaryFile("", "results.xml"), try temporaryFile("", "results.html"))
    let files = ["--junit", junit, "--html", html]
    #expect(try run(ashlarProgram, ["check", "--only", "levels,bad-input", "--seed", "7"] + files).code == 0)
    let sound = try String(contentsOfFile: junit, encoding: .utf8)
    #expect(sound.contains(#"tests="2" failures="0" errors="0""#) && sound.contains(#"name="bad-input""#))
    #expect(try String(contentsOfFile: html, encoding: .utf8).contains("<h1>ashlar check: 2 passed, 0 failed</h1>"))
    // Blocks that a check must get can't be had; then the process is killed in the middle of a check.
    let shell = "exec '\(ashlarProgram)' check --only boundaries --seed 3 \(files.joined(separator: " "))"
    #expect(try run("bash", ["-c", "ulimit -v 400000; " + shell]).code == 1)
    for file in [junit, html] {
      let text = try String(contentsOfFile: file, encoding: .utf8)
      #expect(text.contains("ashlar check --only boundaries --seed 3") && text.contains("no block of"), "\(file)")
    }
    let killed = "'\(ashlarProgram)' check --only forks --seed 5 \(files.joined(separator: " ")) & "
      + "until grep -q 'forks not ended' '\(html)'; do sleep 0.1; done; kill -9 $!; wait"
    _ = try run("bash", ["-c", killed])
    #expect(try String(contentsOfFile: junit, encoding: .utf8).contains("the process ended in this check"))
  }

  @Test func `replay runs every input of a corpus`() throws {
    let input = URL(filePath: try temporaryFile("any bytes are a program", "operations"))
    let corpus = input.deletingLastPathComponent().appending(path: "corpus")
    for target in ["operations", "guarded"] {
      try FileManager.default.createDirectory(at: corpus.appending(path: target), withIntermediateDirectories: true)
      try FileManager.default.copyItem(at: input, to: corpus.appending(path: "\(target)/input"))
    }
    let result = try run(ashlarProgram, ["replay", corpus.path])
    #expect(result.code == 0 && result.output.hasSuffix("\n2 inputs replayed, 0 failed\n"))
    #expect(try run(ashlarProgram, ["replay", "/nowhere"]).code == 64)
  }
}
