import Foundation
import Glibc

/// Whether a sanitizer has taken malloc over, so that no other library can, and reserved more addresses than a limit leaves.
let isWatched = dlsym(nil, "__asan_init") != nil || isRaceWatched

/// Whether ThreadSanitizer is at work. It lets no child of several threads start one.
let isRaceWatched = dlsym(nil, "__tsan_init") != nil

/// The folder with Package.swift.
let packageRoot = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
  .deletingLastPathComponent().deletingLastPathComponent()

struct ProgramResult {
  let code: Int32
  let output: String
  let errors: String
}

/// Runs a program found on PATH, or by its path, to its end.
func run(_ program: String, _ arguments: [String], environment: [String: String] = [:]) throws -> ProgramResult {
  let process = Process()
  process.executableURL = URL(filePath: "/usr/bin/env")
  process.arguments = [program] + arguments
  var all = ProcessInfo.processInfo.environment
  all["SWIFT_BACKTRACE"] = "enable=no"
  process.environment = all.merging(environment) { $1 }
  // Files, not pipes: nothing can fill up while nobody reads.
  let output = try temporaryFile("", "output")
  let errors = try temporaryFile("", "errors")
  process.standardOutput = FileHandle(forWritingAtPath: output)
  process.standardError = FileHandle(forWritingAtPath: errors)
  process.standardInput = FileHandle.nullDevice
  try process.run()
  process.waitUntilExit()
  let code = process.terminationReason == .uncaughtSignal ? 128 + process.terminationStatus : process.terminationStatus
  return ProgramResult(
    code: code, output: try String(contentsOfFile: output, encoding: .utf8),
    errors: try String(contentsOfFile: errors, encoding: .utf8))
}

/// Where this process keeps its files; it goes when the process ends.
private let temporaryFolder: URL = {
  let folder = FileManager.default.temporaryDirectory.appending(path: "ashlar-tests-\(UUID().uuidString)")
  atexit { try? FileManager.default.removeItem(at: temporaryFolder) }
  return folder
}()

func temporaryFile(_ contents: String, _ name: String) throws -> String {
  let folder = temporaryFolder.appending(path: UUID().uuidString)
  try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  let file = folder.appending(path: name)
  try contents.write(to: file, atomically: true, encoding: .utf8)
  return file.path
}

/// The `ashlar` program that was built together with these tests: it lies beside the one that runs them.
let ashlarProgram = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
  .appending(path: "ashlar").path

/// Whether a process is there and has not ended: one that nobody has asked about is a zombie (proc(5)).
func isRunning(_ process: pid_t) -> Bool {
  guard let text = try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8), let name = text.lastIndex(of: ")") else { return false }
  return !text[name...].dropFirst(2).hasPrefix("Z")
}
