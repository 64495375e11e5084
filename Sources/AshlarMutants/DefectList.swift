import Foundation

/// The seeded defects, as they stand in `Mutants/*.txt`.
///
/// An entry begins with `defect:`; then come `class:`, `file:`, `does:`, and where wanted `kind: statement` and
/// `killers:`. A line that begins with `- ` is of the original, one that begins with `+ ` of what replaces it.
public enum DefectList {
  public struct Malformed: Error, CustomStringConvertible {
    public let description: String
  }

  /// All of the package at `root`, in the order of their files' names.
  public static func read(root: URL) throws -> [Defect] {
    let folder = root.appending(path: "Mutants")
    let names = try FileManager.default.contentsOfDirectory(atPath: folder.path).filter { $0.hasSuffix(".txt") }.sorted()
    return try names.flatMap { try parse(String(contentsOf: folder.appending(path: $0), encoding: .utf8), $0) }
  }

  public static func parse(_ text: String, _ file: String) throws -> [Defect] {
    var defects: [Defect] = []
    for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
      if line.isEmpty || line.hasPrefix("#") { continue }
      if line.hasPrefix("defect: ") { defects.append(Defect()) }
      guard !defects.isEmpty, read(line, into: &defects[defects.count - 1]) else {
        throw Malformed(description: "\(file):\(index + 1): '\(line)' is no part of an entry")
      }
    }
    return defects
  }

  private static func read(_ line: Substring, into defect: inout Defect) -> Bool {
    if line == "+" { return true }
    if line.hasPrefix("- ") { add(line, to: &defect.original) } else if line.hasPrefix("+ ") { add(line, to: &defect.mutated) } else {
      guard let colon = line.firstIndex(of: ":") else { return false }
      let value = line[line.index(after: colon)...].trimmingCharacters(in: .whitespaces)
      let items = value.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }
      switch line[..<colon] {
      case "defect": defect.name = value
      case "class": defect.kinds = items
      case "file": defect.file = "Sources/" + value
      case "does": defect.effect = value
      case "kind":
        guard let kind = Defect.Kind(rawValue: value) else { return false }
        defect.kind = kind
      case "killers":
        defect.killers = items.compactMap(Killer.init)
        return defect.killers.count == items.count
      default: return false
      }
    }
    return true
  }

  private static func add(_ line: Substring, to text: inout String) {
    text += (text.isEmpty ? "" : "\n") + line.dropFirst(2)
  }
}
