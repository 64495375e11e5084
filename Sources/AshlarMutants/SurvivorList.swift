import Foundation

/// The generated defects that nothing finds, each with its reason, as they stand in `Mutants/generated/survivors.txt`.
///
/// A reason is a line that begins with `why: `; below it a line `- NAME: PLACE` for each defect that it is true of.
public enum SurvivorList {
  public struct Survivor: Sendable, Equatable {
    public let name: String
    /// What stands there, blanks and line ends made one blank.
    public let place: String
    public let reason: String

    /// Whether the defect is the one that was meant.
    public func isStill(_ defect: Defect) -> Bool { name == defect.name && place == SurvivorList.line(of: defect) }
  }

  public static func read(root: URL) throws -> [Survivor] {
    try parse(String(contentsOf: root.appending(path: "Mutants/generated/survivors.txt"), encoding: .utf8))
  }

  public static func parse(_ text: String) throws -> [Survivor] {
    var reason = ""
    var survivors: [Survivor] = []
    for line in text.split(separator: "\n") where !line.hasPrefix("#") {
      if line.hasPrefix("why: ") {
        reason = String(line.dropFirst(5))
      } else if let match = line.wholeMatch(of: #/- (\S+): (.+)/#), !reason.isEmpty {
        survivors.append(Survivor(name: String(match.1), place: String(match.2), reason: reason))
      } else {
        throw DefectList.Malformed(description: "survivors.txt: '\(line)' is no part of an entry")
      }
    }
    return survivors
  }

  /// A defect's place in one line.
  public static func line(of defect: Defect) -> String { defect.original.replacing(#/\s+/#, with: " ") }
}
