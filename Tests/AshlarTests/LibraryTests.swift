import AshlarSuite
import Foundation
import Glibc
import Testing

/// Checks of other libraries, on ones that are known to be wrong: each fault is found by the check that is for it.
@Suite(.enabled(if: !isWatched)) struct LibraryTests {
  /// Compiled once: the C library's allocator, with the fault that BAD_ALLOCATOR names.
  static let badLibrary: String = {
    let file = try! temporaryFile("", "libbad.so")
    let source = packageRoot.appending(path: "Tests/bad-allocators/bad.c").path
    // The compiler that comes with Swift's.
    let script = #"exec "$(dirname "$(readlink -f "$(command -v swiftc)")")/clang" -shared -fPIC -O1 -fno-builtin -pthread -o "$0" "$1""#
    let result = try! run("bash", ["-c", script, file, source])
    precondition(result.code == 0, result.errors)
    return file
  }()

  private func check(_ name: String, fault: String, _ more: String...) throws -> ProgramResult {
    try run(
      ashlarProgram, ["check", "--malloc", Self.badLibrary, "--only", name, "--seed", "1"] + more,
      environment: ["BAD_ALLOCATOR": fault])
  }

  @Test(arguments: [
    ("overlap", "operations", "overlaps the one of"),
    ("zeroing", "contract", "is not zero where memory was used before (C17 7.22.3.2)"),
    ("contents", "contract", "byte 2500 was lost when a block of 3000 was resized to"),
    ("exit", "contract", "ended before it was done, in malloc(1990)"),
    ("errno", "contract", "set errno to 11 (POSIX.1-2024)"),
    ("no-errno", "arithmetic", "failed with errno 0, not ENOMEM (POSIX)"),
    ("product", "arithmetic", "calloc(4294967296, 4294967296) was granted"),
    ("short", "contract", "a block of 5000 has 4008 usable bytes"),
    ("alignment", "alignment", ", which is not aligned"),
    ("race", "races", ""),
    ("thread-exit", "thread-exit", "died of signal 11"),
    ("fork", "fork", "a child of a process with one thread hangs (POSIX fork)"),
    ("exhaustion", "exhaustion", "died of signal 6, in malloc("),
  ]) func `a fault is found by the check that is for it`(fault: String, check name: String, words: String) throws {
    let result = try check(name, fault: fault)
    #expect(result.code == 1 && result.output.contains("FAILED \(name)"), "\(result.output)\(result.errors)")
    #expect(words == "" || result.output.contains(words), "\(result.output)")
    #expect(result.output.contains("repeat with: ashlar check --malloc \(Self.badLibrary) --only \(name) --seed 1"))
  }

  @Test func `a check that hangs is ended, and the call named`() throws {
    let result = try check("contract", fault: "hang", "--limit", "10")
    #expect(result.code == 1 && result.output.contains("hung: not done after"))
    #expect(result.output.contains("in malloc(1990)"), "\(result.output)")
  }

  @Test func `a failing program is made short`() throws {
    let result = try check("programs", fault: "contents")
    #expect(result.code == 1 && result.output.contains("the shortest program that still fails"), "\(result.output)")
    let program = result.output.split(separator: "\n").filter { $0.hasPrefix("    ") }.map { $0.split(separator: " ")[0] }
    #expect(program.count <= 3 && program.last == "reallocate", "\(result.output)")
  }

  @Test func `without a fault nothing is found`() throws {
    let result = try check("contract,arithmetic,alignment", fault: "")
    #expect(result.code == 0, "\(result.output)\(result.errors)")
  }

  @Test(arguments: [("/nowhere.so", "no shared library"), ("jemalloc", "no shared library"), ("", "no shared library")])
  func `what is no library is refused`(path: String, words: String) throws {
    let result = try run(ashlarProgram, ["check", "--malloc", path])
    #expect(result.code == 64 && result.output == "" && result.errors.contains(words))
  }

  @Test func `a library without malloc is refused`() throws {
    let libm = try run("bash", ["-c", "ldconfig -p 2> /dev/null | awk '$1 == \"libm.so.6\" { print $NF; exit }' || true"]).output
    for path in [libm.trimmingCharacters(in: .newlines), packageRoot.appending(path: "Package.swift").path] where path != "" {
      let result = try run(ashlarProgram, ["check", "--malloc", path, "--only", "contract"])
      #expect(result.code == 64 && result.errors.contains("can't be preloaded, or defines no malloc"), "\(result)")
    }
  }
}

/// What came of a misuse, told from outside: on allocators that are known to do just that.
@Suite(.enabled(if: !isWatched)) struct MisuseMatrixTests {
  private static let program = URL(filePath: ashlarProgram)

  @Test(arguments: [
    ("double free of 64 B", "list", "handed out twice"),
    ("free of the second byte of 64 B", "scribble", "data damaged"),
    ("double free of 64 B", "leak", "accepted"),
    ("double free of 64 B", "", "reported"),
    ("free of address 16", "", "crashed"),
    ("sized free of 64 B as 65", "", "–"),
    ("double free by another thread", "hang-at-second", "hung"),
  ]) func `a verdict is what happened`(misuse: String, fault: String, label: String) throws {
    let scenario = try #require(MisuseScenario.all.first { $0.name == misuse })
    let library = try #require(AllocatorLibrary(argument: LibraryTests.badLibrary)).with(["BAD_ALLOCATOR": fault])
    let verdict = try MisuseMatrix.verdict(library, scenario, program: Self.program, seconds: 10)
    #expect(verdict.label == label, "\(verdict)")
  }

  /// docs/misuse.md has what Ashlar makes of every misuse, plain and guarded, in its very words.
  @Test(arguments: [AllocatorLibrary.ashlar, .ashlarGuarded, .ashlarSampled])
  func `Ashlar's reports are those that are written down`(library: AllocatorLibrary) throws {
    let page = try String(contentsOf: packageRoot.appending(path: "docs/misuse.md"), encoding: .utf8)
    let part = try #require(page.components(separatedBy: "\n## \(library.name)\n").dropFirst().first?.components(separatedBy: "\n## ").first)
    let rows = part.split(separator: "\n").filter { $0.hasPrefix("| ") }.dropFirst().map(String.init)
    let column = try MisuseMatrix.column(library, program: Self.program, jobs: 2) { _ in }
    #expect(rows.count == MisuseScenario.all.count && rows.count >= 60)
    for (row, (scenario, verdict)) in zip(rows, zip(MisuseScenario.all, column.verdicts)) {
      #expect(row == "| \(scenario.name) | \(verdict.text) |")
    }
  }
}
