import AshlarSuite
import Foundation

/// Defects that were made by rule, and so may be no Swift.
extension MutantPackage {
  /// The compiler says no to something that no defect is the cause of.
  public struct Refused: Error, CustomStringConvertible {
    public let description: String
  }

  /// The same package without the defects that the compiler refuses, written to its folder.
  public func compiling(progress: (String) -> Void) throws -> MutantPackage {
    var package = without(knownRefusals())
    while true {
      try package.write()
      let refused = try package.refusals()
      if refused.isEmpty { break }
      progress("\(refused.count) defects that the compiler refuses are left out")
      package = package.without(refused)
    }
    let kept = Set(package.defects.map(\.name))
    let lines = defects.filter { !kept.contains($0.name) }.map(\.line)
    try lines.joined(separator: "\n").write(to: memory, atomically: true, encoding: .utf8)
    return package
  }

  // What was refused the last time is, as long as the place is the same.
  private var memory: URL { copy.appending(path: "refused.txt") }

  private func knownRefusals() -> Set<String> {
    let lines = Set(((try? String(contentsOf: memory, encoding: .utf8)) ?? "").split(separator: "\n").map(String.init))
    return Set(defects.filter { lines.contains($0.line) }.map(\.name))
  }

  private func without(_ names: Set<String>) -> MutantPackage {
    MutantPackage(root: root, defects: defects.filter { !names.contains($0.name) }, folder: copy.lastPathComponent)
  }

  private func refusals() throws -> Set<String> {
    let folder = copy.appending(path: "Sources/Ashlar")
    let sources = try FileManager.default.subpathsOfDirectory(atPath: folder.path).filter { $0.hasSuffix(".swift") }
    let run = try ChildProcess.run(
      URL(filePath: "/usr/bin/env"),
      ["swiftc", "-emit-sil", "-Onone", "-wmo", "-parse-as-library", "-module-name", "Ashlar", "-package-name", "ashlar", "-swift-version", "6",
        "-suppress-warnings", "-I", copy.appending(path: "Sources/CAshlar/include").path, "-o", "/dev/null"]
        + sources.map { folder.appending(path: $0).path }, seconds: 3000)
    if run.end == .exit(0) { return [] }
    var names = Set<String>()
    for match in run.output.matches(of: #/(?m)^(\S+\.swift):(\d+):(\d+): error: /#) {
      let text = try String(contentsOfFile: String(match.1), encoding: .utf8)
      guard let line = Int(match.2), let column = Int(match.3) else { continue }
      names.formUnion(Refusals(text).numbers(line: line, column: column).map { defects[$0 - 1].name })
    }
    guard !names.isEmpty else { throw Refused(description: run.output) }
    return names
  }
}

extension Defect {
  /// Its name and place.
  fileprivate var line: String { "\(name) \(SurvivorList.line(of: self))" }
}
