import AshlarSuite
import Foundation
import Testing

@Suite struct ProgramTests {
  private static func randomBytes(_ seed: Int) -> [UInt8] {
    var generator = SeededGenerator(seed: UInt64(seed))
    return (0..<Int.random(in: 0...400, using: &generator)).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
  }

  private static let cases = FuzzTarget.all.indices.flatMap { target in (0..<12).map { (target, $0) } }

  @Test(arguments: cases) func `every byte string is a program, and both forms bring it back`(target: Int, seed: Int) throws {
    let grammar = FuzzTarget.all[target].grammar
    let program = grammar.program(Self.randomBytes(seed))
    #expect(grammar.program(grammar.bytes(program)) == program)
    #expect(try grammar.program(text: grammar.text(program)) == program)
  }

  @Test(arguments: cases) func `mutated and crossed programs are programs`(target: Int, seed: Int) throws {
    let grammar = FuzzTarget.all[target].grammar
    var generator = SeededGenerator(seed: UInt64(seed))
    var program = grammar.program(Self.randomBytes(seed))
    for _ in 0..<20 {
      program = grammar.mutated(program, using: &generator)
      #expect(grammar.program(grammar.bytes(program)) == program)
      let other = grammar.program(Self.randomBytes(seed + 1))
      let crossed = grammar.crossed(program, other, using: &generator)
      #expect(crossed.allSatisfy { program.contains($0) || other.contains($0) })
    }
  }

  @Test func `mutation reaches every verb and every kind of change`() {
    let grammar = FuzzTarget.named("operations")!.grammar
    var generator = SeededGenerator(seed: 1)
    let seed = try! grammar.program(text: "allocate 3 size 100 alignment 64\nfree 3\n")
    let mutants = (0..<2000).map { _ in grammar.mutated(seed, using: &generator) }
    let verbs = Set(mutants.joined().map(\.verb))
    #expect(verbs == Set((0...UInt8.max).compactMap { grammar.program([$0, 0, 0, 0, 0]).first?.verb }))
    #expect(mutants.contains { $0.count < seed.count } && mutants.contains { $0.first == seed[1] })
    #expect(mutants.contains { $0.count == 2 && $0[1] == seed[1] && $0[0] != seed[0] && $0[0].verb == seed[0].verb })
  }

  @Test func `the text form takes comments and refuses what is no operation, by line`() throws {
    let grammar = FuzzTarget.named("operations")!.grammar
    let program = try grammar.program(text: "# a comment\n\nallocate 3 size 100 alignment 64 zeroed # why\nfree 3\n")
    #expect(program == [Step(Operation.allocate.rawValue, 3, 100, 6, 1), Step(Operation.free.rawValue, 3, 0)])
    for wrong in [
      "allocate", "allocate 64 size 1 alignment 1", "allocate 1 size -1 alignment 1", "allocate 1 size 1 alignment 3",
      "free x", "misuse 1 nothing freed", "thread 4", "reallocate 1 size 2147483648", "free 1 zeroed", "verify 1",
    ] {
      #expect(throws: Grammar.SyntaxError.self, "\(wrong)") { try grammar.program(text: "trim\n\(wrong)\n") }
    }
    do {
      _ = try grammar.program(text: "trim\n\nnonsense\n")
    } catch { #expect(error.description == "line 3 is no operation: nonsense") }
  }

  @Test func `shrinking leaves only what is needed to fail`() throws {
    let grammar = FuzzTarget.named("operations")!.grammar
    let (allocate, free) = (Operation.allocate.rawValue, Operation.free.rawValue)
    let program = (0..<20).flatMap { grammar.program(Self.randomBytes($0)) }
    // It "fails" when slot 5 gets more than 1,000 bytes and is freed later.
    func fails(_ program: [Step]) -> Bool {
      var isLarge = false
      for step in program where step[0] == 5 {
        if step.verb == allocate { isLarge = step[1] > 1000 }
        if step.verb == free, isLarge { return true }
      }
      return false
    }
    let needed = [Step(allocate, 5, 40_000, 9, 1), Step(free, 5, 1)]
    let shortest = Shrinker.shrink(program + needed, in: grammar, fails: fails)
    #expect(shortest.count == 2 && fails(shortest))
    #expect((1001...2000).contains(shortest[0][1]) && shortest[0] == Step(allocate, 5, shortest[0][1], 0, 0))
    #expect(shortest[1] == Step(free, 5, 0))
  }

  /// Every committed input of every target, in a process where nothing else allocates.
  @Test func `the corpus runs clean`() async throws {
    let names = FuzzTarget.all.map(\.name)
    #expect(names.count == Set(names).count)
    for name in names {
      #expect(try !FileManager.default.contentsOfDirectory(atPath: corpus(name)).isEmpty, "\(name) has no corpus")
    }
    let result = await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
      var failed = false
      func note(_ failure: String?, _ file: String) {
        guard let failure else { return }
        failed = true
        FileHandle.standardError.write(Data("\(file): \(failure)\n".utf8))
      }
      for target in FuzzTarget.all {
        for file in try FileManager.default.contentsOfDirectory(atPath: corpus(target.name)) {
          note(target.run([UInt8](try Data(contentsOf: URL(filePath: corpus(target.name) + "/" + file)))), "\(target.name)/\(file)")
        }
      }
      for file in try FileManager.default.contentsOfDirectory(atPath: corpus("regressions")) where file.hasSuffix(".program") {
        let text = try String(contentsOfFile: corpus("regressions") + "/" + file, encoding: .utf8)
        let target = try #require(FuzzTarget.named(forFile: file))
        note(try target.run(text: text), "regressions/\(file)")
        if target.name == "operations" { note(try FuzzTarget.named("operations-c")!.run(text: text), "regressions/\(file) in C") }
      }
      if failed { exit(1) }
    }
    #expect(String(decoding: result?.standardErrorContent ?? [], as: UTF8.self) == "")
  }

  @Test func `reproduce tells every step, and what is wrong`() throws {
    let sound = try temporaryFile("allocate 1 size 10 alignment 1\nmisuse 1 free second-byte\nfree 1\n", "sound.program")
    let result = try run(ashlarProgram, ["reproduce", sound])
    #expect(result.code == 0 && result.errors == "")
    #expect(result.output == """
          0  allocate 1 size 10 alignment 1
          1  misuse 1 free second-byte
          2  free 1
      nothing is wrong

      """)
    let wrong = try temporaryFile("nonsense\n", "wrong.program")
    #expect(try run(ashlarProgram, ["reproduce", wrong]).errors.contains("line 1 is no operation: nonsense"))
    #expect(try run(ashlarProgram, ["reproduce", "/nowhere"]).code == 64)
    #expect(try run(ashlarProgram, ["reproduce", sound, "--target", "none"]).errors.contains("No fuzz target is named 'none'"))
  }

  @Test func `reproduce shrinks what fails, and prints it as a test`() throws {
    // In a region of 4 MiB a request that is little elsewhere is refused.
    let failing = try temporaryFile("malloc 2 size 100\nfree 2\nmalloc 1 size 30000000\ncalloc 3 count 2 size 8\n", "failing.program")
    let result = try run(
      ashlarProgram, ["reproduce", failing, "--target", "arithmetic"], environment: ["ASHLAR_REGION": "4M", "ASHLAR_GUARD": "0"])
    #expect(result.code == 1)
    #expect(result.output.contains("step 2, malloc 1 size 30000000: refused, though it is little"))
    let lines = result.output.split(separator: "\n")
    let shortest = lines.firstIndex { $0 == "the shortest program that still fails:" }.map { lines[($0 + 1)...] } ?? []
    #expect(shortest.first?.hasPrefix("malloc 0 size ") == true && shortest.dropFirst().first == "as a test:")
    #expect(result.output.contains("FuzzTarget.named(\"arithmetic\")!.run(text:"))
  }
}

private func corpus(_ name: String) -> String { packageRoot.appending(path: "corpus/\(name)").path }
