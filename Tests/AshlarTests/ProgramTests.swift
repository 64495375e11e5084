import AshlarSuite
import Foundation
import Testing

@Suite struct ProgramTests {
  private static func randomBytes(_ seed: Int) -> [UInt8] {
    var generator = SeededGenerator(seed: UInt64(seed))
    return (0..<Int.random(in: 0...400, using: &generator)).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
  }

  @Test(arguments: 0..<200) func `every byte string is a program, and both forms bring it back`(seed: Int) throws {
    let program = OperationProgram(bytes: Self.randomBytes(seed))
    #expect(OperationProgram(bytes: program.bytes) == program)
    #expect(try OperationProgram(text: program.text) == program)
  }

  @Test(arguments: 0..<50) func `a mutated program is a program`(seed: Int) throws {
    var generator = SeededGenerator(seed: UInt64(seed))
    var program = OperationProgram(bytes: Self.randomBytes(seed))
    for _ in 0..<20 {
      program = program.mutated(using: &generator)
      #expect(OperationProgram(bytes: program.bytes) == program)
    }
  }

  @Test func `the text form takes comments and refuses what is no operation, by line`() throws {
    let program = try OperationProgram(text: "# a comment\n\nallocate 3 size 100 alignment 64 zeroed # why\nfree 3\n")
    #expect(program.operations == [
      .allocate(slot: 3, size: 100, alignmentExponent: 6, zeroed: true), .free(slot: 3, sized: false),
    ])
    for wrong in [
      "allocate", "allocate 64 size 1 alignment 1", "allocate 1 size -1 alignment 1", "allocate 1 size 1 alignment 3",
      "free x", "misuse 1 nothing", "thread 4", "reallocate 1 size 2147483648", "free 1 zeroed", "verify 1",
    ] {
      #expect(throws: OperationProgram.SyntaxError.self, "\(wrong)") { try OperationProgram(text: "trim\n\(wrong)\n") }
    }
    do {
      _ = try OperationProgram(text: "trim\n\nnonsense\n")
    } catch { #expect(error.description == "line 3 is no operation: nonsense") }
  }

  @Test func `shrinking leaves only what is needed to fail`() throws {
    let program = OperationProgram(bytes: (0..<20).flatMap { Self.randomBytes($0) })
    // It "fails" when slot 5 gets more than 1,000 bytes and is freed later.
    func fails(_ program: OperationProgram) -> Bool {
      var isLarge = false
      for operation in program.operations {
        if case .allocate(5, let size, _, _) = operation { isLarge = size > 1000 }
        if case .free(5, _) = operation, isLarge { return true }
      }
      return false
    }
    let needed: [OperationProgram.Operation] = [
      .allocate(slot: 5, size: 40_000, alignmentExponent: 9, zeroed: true), .free(slot: 5, sized: true),
    ]
    let shortest = Shrinker.shrink(OperationProgram(program.operations + needed), fails: fails)
    #expect(shortest.operations.count == 2 && fails(shortest))
    guard case .allocate(5, let size, 0, false) = shortest.operations[0] else {
      Issue.record("\(shortest.text)")
      return
    }
    #expect((1001...2000).contains(size) && shortest.operations[1] == .free(slot: 5, sized: false))
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
      for target in FuzzTarget.all {
        for file in try FileManager.default.contentsOfDirectory(atPath: corpus(target.name)) {
          let bytes = [UInt8](try Data(contentsOf: URL(filePath: corpus(target.name) + "/" + file)))
          guard let failure = target.run(bytes) else { continue }
          failed = true
          FileHandle.standardError.write(Data("\(target.name)/\(file): \(failure)\n".utf8))
        }
      }
      for file in try FileManager.default.contentsOfDirectory(atPath: corpus("regressions")) where file.hasSuffix(".program") {
        let text = try String(contentsOfFile: corpus("regressions") + "/" + file, encoding: .utf8)
        for target in FuzzTarget.all where target.prefixBytes == 0 {
          guard let failure = target.run(try OperationProgram(text: text).bytes) else { continue }
          failed = true
          FileHandle.standardError.write(Data("regressions/\(file): \(failure)\n".utf8))
        }
      }
      if failed { exit(1) }
    }
    #expect(String(decoding: result?.standardErrorContent ?? [], as: UTF8.self) == "")
  }

  @Test func `reproduce tells every step, and what is wrong`() throws {
    let sound = try temporaryFile("allocate 1 size 10 alignment 1\nmisuse 1 free-misaligned\nfree 1\n", "sound.program")
    let result = try run(ashlarProgram, ["reproduce", sound])
    #expect(result.code == 0 && result.errors == "")
    #expect(result.output == """
          0  allocate 1 size 10 alignment 1
          1  misuse 1 free-misaligned
          2  free 1
      nothing is wrong

      """)
    let wrong = try temporaryFile("nonsense\n", "wrong.program")
    #expect(try run(ashlarProgram, ["reproduce", wrong]).errors.contains("line 1 is no operation: nonsense"))
    #expect(try run(ashlarProgram, ["reproduce", "/nowhere"]).code == 64)
    #expect(try run(ashlarProgram, ["reproduce", sound, "--target", "none"]).errors.contains("No fuzz target is named 'none'"))
  }
}

private func corpus(_ name: String) -> String { packageRoot.appending(path: "corpus/\(name)").path }
