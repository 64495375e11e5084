/// How strongly an access orders what stands around it in the program, as C11 has it.
public enum Order: UInt8, Sendable {
  /// Nothing: only the stores of one cell have an order.
  case relaxed
  /// What a load finds was stored with all that stands before it, if that was a releasing store.
  case acquiring
  /// Whoever acquires what is stored finds all that stands before it.
  case releasing
  /// Both, for reading and writing in one step.
  case acquiringAndReleasing
  /// Also takes its place in one order of all such steps, which is modelled as the order in which they are taken. A load
  /// does not fall behind the stores of this order to its cell. Fences are a little stronger than in RC11: each
  /// synchronizes with the fences before it, and with the stores of this order.
  case sequential

  var acquires: Bool { self == .acquiring || self == .acquiringAndReleasing || self == .sequential }
  var releases: Bool { self == .releasing || self == .acquiringAndReleasing || self == .sequential }
  var isSequential: Bool { self == .sequential }

  /// The order with one half of it taken away.
  func without(_ half: Weakening.Half) -> Order {
    switch half {
    case .acquire: releases ? .releasing : .relaxed
    case .release: acquires ? .acquiring : .relaxed
    }
  }
}

/// The line of source that takes a step.
public struct SourceLine: Sendable, Hashable, CustomStringConvertible {
  /// Module and file, as `#fileID` has it.
  public let file: String
  /// From 1.
  public let line: UInt32

  public init(file: String, line: UInt32) {
    self.file = file
    self.line = line
  }

  public var description: String { "\(file.split(separator: "/").last ?? ""):\(line)" }
}

/// The same while it is only carried about: nothing is allocated for it.
struct Place {
  var file: StaticString
  var line: UInt32

  static let none = Place(file: "", line: 0)

  var sourceLine: SourceLine { SourceLine(file: file.description, line: line) }
}

/// Takes one half of the ordering away from the accesses of one line: what they acquire, or what they release.
///
/// A program that is right without it asks for more than it needs; one that goes wrong is shown to need it, and its
/// models to see that.
public struct Weakening: Sendable, Hashable, CustomStringConvertible {
  /// What is taken away. Nothing happens where an access does not ask for it; a sequential one is weakened to the half
  /// that is left.
  public enum Half: String, Sendable, CaseIterable { case acquire, release }

  /// The line that takes the step.
  public var at: SourceLine
  /// What it goes without.
  public var half: Half

  public init(at: SourceLine, half: Half) {
    self.at = at
    self.half = half
  }

  /// `FILE:LINE:HALF`, the file by its name or its path within its module.
  public init?(_ text: String) {
    let parts = text.split(separator: ":")
    guard parts.count == 3, let line = UInt32(parts[1]), let half = Half(rawValue: String(parts[2])) else { return nil }
    self.init(at: SourceLine(file: String(parts[0]), line: line), half: half)
  }

  /// Whether steps of that line are the ones.
  public func covers(_ line: SourceLine) -> Bool {
    at.line == line.line && (line.file == at.file || line.file.hasSuffix("/" + at.file))
  }

  func covers(_ place: Place) -> Bool { at.line == place.line && covers(place.sourceLine) }

  public var description: String { "\(at):\(half.rawValue)" }
}
