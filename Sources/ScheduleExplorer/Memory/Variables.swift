/// Words of memory for a scenario, zero at first, each with a name and used as an atomic or as plain memory.
public final class Variables {
  private let words: UnsafeMutablePointer<UInt>
  private let count: Int

  /// One for each name; in a scenario's set-up counterexamples know the names.
  public init(_ names: String...) {
    // Two words each, so that every one can be a pair.
    count = 2 * names.count
    let memory = UnsafeMutableRawPointer.allocate(byteCount: 16 * names.count, alignment: 16)
    words = memory.initializeMemory(as: UInt.self, repeating: 0, count: count)
    guard Explored.isRunning else { return }
    for (index, name) in names.enumerated() { Explored.name(name, words + 2 * index, bytes: 16) }
  }

  deinit { words.deallocate() }

  /// The variable that was named `index`th.
  public subscript(index: Int) -> Variable { Variable(address: UnsafeMutableRawPointer(words + 2 * index)) }
}

/// One word of memory, with what `Explored` does to it. Valid as long as its `Variables`.
public struct Variable {
  /// Of 16 bytes, aligned to them: it can be a pair as well.
  public let address: UnsafeMutableRawPointer

  /// As `Explored.load`.
  public func load(_ order: Order, file: StaticString = #fileID, line: UInt32 = #line) -> UInt {
    Explored.load(address, order, file: file, line: line)
  }

  /// As `Explored.store`.
  public func store(_ value: UInt, _ order: Order, file: StaticString = #fileID, line: UInt32 = #line) {
    Explored.store(value, to: address, order, file: file, line: line)
  }

  /// Answers the value before.
  @discardableResult
  public func exchange(_ value: UInt, _ order: Order, file: StaticString = #fileID, line: UInt32 = #line) -> UInt {
    Explored.update(address, order, file: file, line: line) { _ in value }
  }

  /// Adds, wrapping around. Answers the value before.
  @discardableResult
  public func add(_ value: UInt, _ order: Order, file: StaticString = #fileID, line: UInt32 = #line) -> UInt {
    Explored.update(address, order, file: file, line: line) { $0 &+ value }
  }

  /// Whether the swap took place: whether the value was `expected`.
  public func compareExchange(
    _ expected: UInt, _ desired: UInt, _ order: Order, file: StaticString = #fileID, line: UInt32 = #line
  ) -> Bool {
    Explored.compareExchange(address, expected: expected, desired: desired, order, file: file, line: line) == expected
  }

  /// Reads it as plain memory.
  public func read(file: StaticString = #fileID, line: UInt32 = #line) -> UInt {
    Explored.willRead(address, bytes: 8, file: file, line: line)
    return address.load(as: UInt.self)
  }

  /// Writes it as plain memory.
  public func write(_ value: UInt, file: StaticString = #fileID, line: UInt32 = #line) {
    Explored.willWrite(address, bytes: 8, file: file, line: line)
    address.storeBytes(of: value, as: UInt.self)
  }

  // MARK: Waiting

  /// As `Explored.wait`.
  public func wait(while value: UInt, file: StaticString = #fileID, line: UInt32 = #line) {
    Explored.wait(address, while: value, file: file, line: line)
  }

  /// As `Explored.wake`.
  public func wake(file: StaticString = #fileID, line: UInt32 = #line) { Explored.wake(address, file: file, line: line) }

  /// As `Explored.lock`: the variable stands for a lock, and holds nothing.
  public func lock(file: StaticString = #fileID, line: UInt32 = #line) { Explored.lock(address, file: file, line: line) }

  /// As `Explored.tryLock`.
  public func tryLock(file: StaticString = #fileID, line: UInt32 = #line) -> Bool {
    Explored.tryLock(address, file: file, line: line)
  }

  /// As `Explored.unlock`.
  public func unlock(file: StaticString = #fileID, line: UInt32 = #line) { Explored.unlock(address, file: file, line: line) }
}
