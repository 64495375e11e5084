/// The choices of an execution, one after the other, where there was more than one to choose from.
///
/// As text: a letter for the thread that goes next (A is the first), a digit for a store that is not the latest (1 is the
/// one before it; 0 the latest), `{7}` for a load that returns 7 before it is stored, and `x12` for the choice before it
/// taken 12 times in all. It replays an execution of the same scenario, built from the same source.
public struct Schedule: Sendable, Hashable, CustomStringConvertible {
  enum Choice: Sendable, Hashable {
    case thread(Int)
    case value(Int)
    case future(UInt, UInt)

    var text: String {
      switch self {
      case .thread(let thread): String(UnicodeScalar(UInt8(64 + thread)))
      case .value(let value): value < 10 ? String(value) : "(\(value))"
      case .future(let value, let second): second == 0 ? "{\(value)}" : "{\(value),\(second)}"
      }
    }
  }

  var choices: [Choice] = []

  init() {}

  /// Nil for a text that is no schedule.
  public init?(_ text: String) {
    var rest = text.utf8[...]
    func number() -> Int? {
      var digits = 0
      var count = 0
      while let byte = rest.first, byte >= 48, byte <= 57, count < 9 {
        digits = digits * 10 + Int(byte - 48)
        count += 1
        rest.removeFirst()
      }
      return count > 0 ? digits : nil
    }
    while let byte = rest.popFirst() {
      switch byte {
      case 65...(65 + 6): choices.append(.thread(Int(byte) - 64))
      case 48...57: choices.append(.value(Int(byte) - 48))
      case UInt8(ascii: "("):
        guard let value = number(), rest.popFirst() == UInt8(ascii: ")") else { return nil }
        choices.append(.value(value))
      case UInt8(ascii: "{"):
        let words = rest.prefix { $0 != UInt8(ascii: "}") }.split(separator: UInt8(ascii: ",")).map { UInt(Substring($0)) }
        guard let end = rest.firstIndex(of: UInt8(ascii: "}")), (1...2).contains(words.count), let value = words[0],
          let second = words.count == 2 ? words[1] : 0
        else { return nil }
        choices.append(.future(value, second))
        rest = rest[rest.index(after: end)...]
      case UInt8(ascii: "x"):
        guard let last = choices.last, let times = number(), times > 0, times < 1 << 20 else { return nil }
        for _ in 1..<times { choices.append(last) }
      default: return nil
      }
    }
  }

  public var description: String {
    var text = ""
    var index = 0
    while index < choices.count {
      var run = 1
      while index + run < choices.count, choices[index + run] == choices[index] { run += 1 }
      let one = choices[index].text
      // A digit after a run would read as part of its length.
      let isFollowedByDigit = index + run < choices.count && choices[index + run].text.first?.isNumber == true
      text += run > 3 && !isFollowedByDigit ? "\(one)x\(run)" : String(repeating: one, count: run)
      index += run
    }
    return text
  }
}

/// Hands another chooser's choices on, and keeps them.
final class Keeper: Chooser {
  var inner: any Chooser
  @exclusivity(unchecked) private(set) var schedule = Schedule()
  /// Turns to another thread although the running one could have gone on.
  @exclusivity(unchecked) private(set) var preemptions = 0

  init(_ inner: any Chooser) { self.inner = inner }

  func begin() {
    schedule = Schedule()
    preemptions = 0
    inner.begin()
  }

  func chooseThread(_ engine: Engine, enabled: UInt8) -> Int {
    let thread = inner.chooseThread(engine, enabled: enabled)
    if enabled.nonzeroBitCount > 1 { schedule.choices.append(.thread(thread)) }
    if thread != engine.current, engine.canGoOn(enabled) { preemptions += 1 }
    return thread
  }

  func chooseValue(_ count: Int) -> Int {
    let value = inner.chooseValue(count)
    schedule.choices.append(.value(value))
    return value
  }

  // Also where there is nothing to choose from, which who replays it does not know.
  func chooseFuture(_ stores: [GatheredStore]) -> (value: UInt, second: UInt)? {
    let found = inner.chooseFuture(stores)
    schedule.choices.append(found.map { .future($0.value, $0.second) } ?? .value(0))
    return found
  }

  func didStep(_ engine: Engine, _ thread: Int, _ step: Pending) { inner.didStep(engine, thread, step) }
  func isStuck(_ engine: Engine) { inner.isStuck(engine) }
}

extension Engine {
  /// Whether the running thread is one of the `enabled` and has not given way: turning to another is a preemption then.
  func canGoOn(_ enabled: UInt8) -> Bool {
    enabled & (1 << UInt8(current)) != 0 && current > 0 && threads[current].pending.kind != .pause
  }

  /// The choice that changes nothing: the running thread goes on, or the first that can; after a pause the next in turn.
  func plainChoice(_ enabled: UInt8) -> Int {
    if canGoOn(enabled) { return current }
    let later = threads[current].pending.kind == .pause && current > 0 ? enabled & ~(2 << UInt8(current) &- 1) : 0
    return (later != 0 ? later : enabled).trailingZeroBitCount
  }
}

/// Follows a schedule, and where it ends takes the plainest choice.
final class Replay: Chooser {
  private let schedule: Schedule
  private var next = 0
  /// Whether the schedule asked for what could not be chosen.
  private(set) var isAstray = false

  init(_ schedule: Schedule) { self.schedule = schedule }

  func begin() {
    next = 0
    isAstray = false
  }

  func chooseThread(_ engine: Engine, enabled: UInt8) -> Int {
    guard enabled.nonzeroBitCount > 1, next < schedule.choices.count else { return engine.plainChoice(enabled) }
    next += 1
    if case .thread(let thread) = schedule.choices[next - 1], enabled & (1 << UInt8(thread)) != 0 { return thread }
    isAstray = true
    return engine.plainChoice(enabled)
  }

  func chooseValue(_ count: Int) -> Int {
    guard next < schedule.choices.count else { return 0 }
    next += 1
    if case .value(let value) = schedule.choices[next - 1], value < count { return value }
    isAstray = true
    return 0
  }

  func chooseFuture(_ stores: [GatheredStore]) -> (value: UInt, second: UInt)? {
    guard next < schedule.choices.count else { return nil }
    next += 1
    switch schedule.choices[next - 1] {
    case .future(let value, let second): return (value, second)
    case .value(0): break
    default: isAstray = true
    }
    return nil
  }
}
