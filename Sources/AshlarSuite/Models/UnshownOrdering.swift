import ScheduleExplorer

/// An ordering that is needed although every model holds without it, with the reason.
public struct UnshownOrdering: Sendable {
  /// Within Sources/Ashlar.
  public let path: String
  public let line: UInt32
  public let half: Weakening.Half
  /// A part of the line, so that the list can be held against the source.
  public let code: String
  public let reason: String

  /// Whether it is the one that was weakened.
  public func isTaken(by weakening: Weakening) -> Bool {
    weakening.at.line == line && weakening.half == half && path.hasSuffix(weakening.at.file.split(separator: "/").last ?? "")
  }

  // The explorer lets no load return a store of its own future (RC11). Processors that do, as ARM64, need the release: without
  // it a thread's pop might be seen before its count of itself in transit.
  private static let future = "keeps a store before a later one, which shows only where loads see the future"

  public static let all: [UnshownOrdering] = [
    UnshownOrdering(
      path: "Depots/TaggedStack.swift", line: 53, half: .release, code: "Memory.compareExchangePair(", reason: future),
    UnshownOrdering(path: "Medium/Buddy.swift", line: 153, half: .release, code: "Memory.and(", reason: future),
  ]
}
