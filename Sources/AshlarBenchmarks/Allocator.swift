import Foundation

/// A library that takes the malloc family's place when it is preloaded.
public struct Allocator: Sendable, Hashable {
  public let name: String
  public let library: String
  /// As its package or its maker calls it; may be empty.
  public let version: String

  public init(name: String, library: String, version: String = "") {
    self.name = name
    self.library = library
    self.version = version
  }

  /// Reads NAME=PATH; nil where there is no name or no such file.
  public init?(argument: String) {
    let parts = argument.split(separator: "=", maxSplits: 1).map(String.init)
    guard parts.count == 2, FileManager.default.isReadableFile(atPath: parts[1]) else { return nil }
    self.init(name: parts[0], library: parts[1])
  }

  /// Ashlar itself, built unless `library` names one that is.
  public static func ashlar(root: URL, library: String?) throws -> Allocator {
    let built = try library ?? Command("scripts/preload", root: root).output().trimmingCharacters(in: .whitespacesAndNewlines)
    return Allocator(name: "Ashlar", library: built)
  }

  /// Those that `scripts/peers` finds on this machine.
  public static func installed(root: URL) throws -> [Allocator] {
    let lines = try Command("scripts/peers", root: root).output().split(separator: "\n")
    return lines.compactMap { line in
      let fields = line.split(separator: " ").map(String.init)
      return fields.count < 2 ? nil : Allocator(name: fields[0], library: fields[1], version: fields.dropFirst(2).joined(separator: " "))
    }
  }
}
