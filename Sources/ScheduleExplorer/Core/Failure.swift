/// What went wrong in an execution.
public struct Failure: Error, Sendable, Hashable, CustomStringConvertible {
  public enum Kind: String, Sendable {
    case violation, race = "data race", deadlock, livelock, lostWakeUp = "lost wake-up"
    case useAfterRelease = "use of released memory", misuse = "misuse of a lock or cell", stepLimit = "step limit"
  }

  public var kind: Kind
  public var message: String

  public init(_ kind: Kind, _ message: String) {
    self.kind = kind
    self.message = message
  }

  public var description: String { "\(kind.rawValue): \(message)" }
}

/// Throws a violation, to be reported with the interleaving that led to it, unless `condition` holds.
public func require(_ condition: Bool, _ message: @autoclosure () -> String) throws {
  if !condition { throw Failure(.violation, message()) }
}
