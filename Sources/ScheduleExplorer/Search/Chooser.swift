/// Decides what an execution leaves open: which thread goes next, and which of several stores a load returns.
protocol Chooser: AnyObject {
  /// A new execution begins.
  func begin()
  /// One of the `enabled` threads (a bit each, never none).
  func chooseThread(_ engine: Engine, enabled: UInt8) -> Int
  /// A number below `count`, which is at least 2. 0 is the latest store.
  func chooseValue(_ count: Int) -> Int
  /// One of the stores that others may yet make; nil for none.
  func chooseFuture(_ stores: [GatheredStore]) -> (value: UInt, second: UInt)?
  /// The chosen thread takes its step.
  func didStep(_ engine: Engine, _ thread: Int, _ step: Pending)
  /// No thread can go on, and not all have ended.
  func isStuck(_ engine: Engine)
}

extension Chooser {
  func begin() {}
  func chooseFuture(_ stores: [GatheredStore]) -> (value: UInt, second: UInt)? { nil }
  func didStep(_ engine: Engine, _ thread: Int, _ step: Pending) {}
  func isStuck(_ engine: Engine) {}
}
