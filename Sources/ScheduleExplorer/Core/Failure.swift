/// What went wrong in an execution.
public struct Failure: Error, Sendable, Hashable, CustomStringConvertible {
  /// How it went wrong; the raw value is for a person.
  public enum Kind: String, Sendable {
    /// An action or the check threw.
    case violation
    /// Two accesses of which one is plain and one writes, neither of which happens before the other.
    case race = "data race"
    /// No thread can go on, and one at least waits for a lock.
    case deadlock
    /// No thread can go on, and one at least has paused until something changes.
    case livelock
    /// No thread can go on: all that are left sleep.
    case lostWakeUp = "lost wake-up"
    /// Memory is touched that was given back, or is given back while it may still be touched.
    case useAfterRelease = "use of released memory"
    /// A lock is released by a thread that does not hold it, or a cell is touched in different sizes.
    case misuse = "misuse of a lock or cell"
    /// More steps than `Plan.stepLimit`.
    case stepLimit = "step limit"
  }

  /// What minimizing keeps.
  public var kind: Kind
  /// For a person: threads by their letters, memory by the names it was given, source lines.
  public var message: String

  /// For what is no violation, where an action finds it itself.
  public init(_ kind: Kind, _ message: String) {
    self.kind = kind
    self.message = message
  }

  public var description: String { "\(kind.rawValue): \(message)" }
}

/// Throws a violation, to be reported with the interleaving that led to it, unless `condition` holds. For actions and checks.
public func require(_ condition: Bool, _ message: @autoclosure () -> String) throws {
  if !condition { throw Failure(.violation, message()) }
}
