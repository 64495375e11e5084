import Synchronization

/// A number that several threads change.
final class SharedCount: Sendable {
  private let count = Atomic<Int>(0)

  var value: Int {
    get { count.load(ordering: .relaxed) }
    set { count.store(newValue, ordering: .relaxed) }
  }
  func add(_ number: Int) { count.wrappingAdd(number, ordering: .relaxed) }

  /// Sets it back to zero, and answers what it was.
  func take() -> Int { count.exchange(0, ordering: .relaxed) }
}
