import CScheduleExplorer

/// The memory that explored code runs on: each function is one step, a choice for the explorer.
///
/// Code to be explored is generic over its memory: on the machine's atomics where it ships, on these functions where it is
/// explored. Addresses are real; what a step finds there is what a thread may see under the memory model. A cell is 1, 8
/// or 16 bytes and always touched as such. Nothing may be touched by plain Swift that two threads share, or by plain
/// Swift in one place and by these functions in another, unless `willRead` or `willWrite` tells of it.
///
/// All of it is for the thread of the system that runs the exploration, within a scenario's actions, set-up and check;
/// anywhere else it is a fatal error. What fails ends the execution: the function does not return, and what its callers
/// hold on the stack is lost.
///
/// `file` and `line` name the step in tables, messages and weakenings: wrappers hand on those of their callers.
public enum Explored {
  static var engine: Engine {
    guard let engine = Engine.running else { fatalError("no exploration is running on this thread") }
    return engine
  }

  // The steps of every loop take it so: counted references took a tenth of the time.
  @inline(__always)
  private static func withEngine<Result>(_ body: (Engine) -> Result) -> Result {
    guard let engine = explorer_current() else { fatalError("no exploration is running on this thread") }
    return Unmanaged<Engine>.fromOpaque(engine)._withUnsafeGuaranteedRef(body)
  }

  /// Whether the caller is inside a scenario.
  public static var isRunning: Bool { Engine.running != nil }

  // MARK: Words, and smaller cells

  /// Reads a cell of 1, 2 or 8 bytes.
  public static func load(
    _ address: UnsafeMutableRawPointer, bytes: Int = 8, _ order: Order, file: StaticString = #fileID, line: UInt32 = #line
  ) -> UInt {
    withEngine { $0.load(UInt(bitPattern: address), bytes, order, Place(file: file, line: line)).0 }
  }

  /// Writes a cell of 1, 2 or 8 bytes.
  public static func store(
    _ value: UInt, to address: UnsafeMutableRawPointer, bytes: Int = 8, _ order: Order, file: StaticString = #fileID,
    line: UInt32 = #line
  ) {
    withEngine { $0.store(value, UInt(bitPattern: address), bytes, order, Place(file: file, line: line)) }
  }

  /// Reads and changes a cell in one step; with nil from `change` it is a load. Answers the value found. `change` may be
  /// called more than once and does nothing else.
  @discardableResult
  public static func update(
    _ address: UnsafeMutableRawPointer, bytes: Int = 8, _ order: Order, file: StaticString = #fileID, line: UInt32 = #line,
    _ change: (UInt) -> UInt?
  ) -> UInt {
    withEngine {
      $0.update(UInt(bitPattern: address), bytes, order, Place(file: file, line: line)) { value, _ in change(value).map { ($0, 0) } }.0
    }
  }

  /// Answers the value found; the swap took place if that is `expected`. Never fails otherwise: a strong one.
  @discardableResult
  public static func compareExchange(
    _ address: UnsafeMutableRawPointer, bytes: Int = 8, expected: UInt, desired: UInt, _ order: Order,
    file: StaticString = #fileID, line: UInt32 = #line
  ) -> UInt {
    update(address, bytes: bytes, order, file: file, line: line) { $0 == expected ? desired : nil }
  }

  /// A step of its own only in sequential order: others order what stands around them and are seen by nobody else.
  public static func fence(_ order: Order, file: StaticString = #fileID, line: UInt32 = #line) {
    engine.fence(order, Place(file: file, line: line))
  }

  // MARK: Pairs of words, read and swapped as one

  /// Reads a cell of 16 bytes.
  public static func loadPair(
    _ address: UnsafeMutableRawPointer, _ order: Order, file: StaticString = #fileID, line: UInt32 = #line
  ) -> (first: UInt, second: UInt) {
    let (first, second) = withEngine { $0.load(UInt(bitPattern: address), 16, order, Place(file: file, line: line)) }
    return (first, second)
  }

  /// Answers the pair found; the swap took place if that is `expected`.
  @discardableResult
  public static func compareExchangePair(
    _ address: UnsafeMutableRawPointer, expected: (first: UInt, second: UInt), desired: (first: UInt, second: UInt), _ order: Order,
    file: StaticString = #fileID, line: UInt32 = #line
  ) -> (first: UInt, second: UInt) {
    let (first, second) = engine.update(UInt(bitPattern: address), 16, order, Place(file: file, line: line)) {
      ($0, $1) == (expected.first, expected.second) ? (desired.first, desired.second) : nil
    }
    return (first, second)
  }

  // MARK: Plain memory

  /// Tells of a plain read that is about to be done. It is no choice, but it must be ordered with the writes before it.
  public static func willRead(_ address: UnsafeRawPointer, bytes: Int, file: StaticString = #fileID, line: UInt32 = #line) {
    withEngine { $0.plain(UInt(bitPattern: address), bytes, isWrite: false, Place(file: file, line: line)) }
  }

  /// Tells of a plain write that is about to be done. It must be ordered with all accesses before it.
  public static func willWrite(_ address: UnsafeRawPointer, bytes: Int, file: StaticString = #fileID, line: UInt32 = #line) {
    withEngine { $0.plain(UInt(bitPattern: address), bytes, isWrite: true, Place(file: file, line: line)) }
  }

  /// Tells of memory that changes by other means, as when the system drops its contents: a plain write of every cell in it
  /// that was touched before. Linear in the cells of the execution.
  public static func willOverwrite(_ memory: UnsafeRawBufferPointer, file: StaticString = #fileID, line: UInt32 = #line) {
    engine.overwrite(range(memory), Place(file: file, line: line))
  }

  /// Tells of memory that is given back. `give` is done when the execution is over, so that whoever touches the memory
  /// meanwhile is found and does no harm.
  public static func release(
    _ memory: UnsafeRawBufferPointer, file: StaticString = #fileID, line: UInt32 = #line, give: @escaping () -> Void
  ) {
    engine.release(range(memory), Place(file: file, line: line))
    engine.later(give)
  }

  /// Tells of memory that is new, perhaps where some was given back.
  public static func didMap(_ memory: UnsafeRawBufferPointer) { engine.map(range(memory)) }

  private static func range(_ memory: UnsafeRawBufferPointer) -> Range<UInt> {
    let start = UInt(bitPattern: memory.baseAddress)
    return start..<(start + UInt(memory.count))
  }

  // MARK: Locks and waiting

  /// Takes the lock that the word stands for, as one step that is possible when nobody holds it. The word is not touched.
  public static func lock(_ word: UnsafeMutableRawPointer, file: StaticString = #fileID, line: UInt32 = #line) {
    engine.lock(UInt(bitPattern: word), Place(file: file, line: line))
  }

  /// Whether the lock was free, and is taken.
  public static func tryLock(_ word: UnsafeMutableRawPointer, file: StaticString = #fileID, line: UInt32 = #line) -> Bool {
    engine.tryLock(UInt(bitPattern: word), Place(file: file, line: line))
  }

  /// Releases a lock that the running thread holds.
  public static func unlock(_ word: UnsafeMutableRawPointer, file: StaticString = #fileID, line: UInt32 = #line) {
    engine.unlock(UInt(bitPattern: word), Place(file: file, line: line))
  }

  /// Sleeps if the latest store of the word is `value`, until woken, as one step: a futex. It is never woken for nothing,
  /// and orders nothing.
  public static func wait(
    _ word: UnsafeMutableRawPointer, while value: UInt, file: StaticString = #fileID, line: UInt32 = #line
  ) {
    engine.wait(UInt(bitPattern: word), value, Place(file: file, line: line))
  }

  /// Wakes one thread that sleeps on the word, any of them; nobody if none does. It orders nothing.
  public static func wake(_ word: UnsafeMutableRawPointer, file: StaticString = #fileID, line: UInt32 = #line) {
    engine.wake(UInt(bitPattern: word), Place(file: file, line: line))
  }

  /// Between two attempts of a loop that waits for another thread: the caller goes on when something that it has looked
  /// at since its last pause has changed. Without it a loop that waits has no end where the others do not get their turn.
  public static func pause(file: StaticString = #fileID, line: UInt32 = #line) { engine.pause(Place(file: file, line: line)) }

  // MARK: Threads

  /// The running thread: 0 sets up and checks, the scenario's threads are 1 and up.
  public static var thread: Int { engine.current }

  /// Four words for each thread, zero at first, that stand for thread-local storage. `index` is 0 to 3.
  public static func local(_ index: Int) -> UInt {
    let locals = engine.threads[engine.current].locals
    return index == 0 ? locals.0 : index == 1 ? locals.1 : index == 2 ? locals.2 : locals.3
  }

  /// Sets what `local` answers to the running thread.
  public static func setLocal(_ index: Int, _ value: UInt) {
    let engine = engine
    switch index {
    case 0: engine.threads[engine.current].locals.0 = value
    case 1: engine.threads[engine.current].locals.1 = value
    case 2: engine.threads[engine.current].locals.2 = value
    default: engine.threads[engine.current].locals.3 = value
    }
  }

  /// From now on the other threads take no step: what the child of a fork sees. Explore such a scenario without reduction.
  public static func endOtherThreads(file: StaticString = #fileID, line: UInt32 = #line) {
    engine.endOthers(Place(file: file, line: line))
  }

  /// Anything that the scenario's set-up keeps for the code that it runs; nil at the beginning of each execution.
  public static var environment: AnyObject? {
    get { engine.environment }
    set { engine.environment = newValue }
  }

  /// Does `action` when the execution is over, however it ends. What a state has from the system is best given back so: a
  /// thread that is cut off, by a failure or by `endOtherThreads`, holds on to the state for good.
  public static func whenOver(_ action: @escaping () -> Void) { engine.later(action) }

  // MARK: Words for a reader

  /// Gives memory a name for tables and messages, of this execution. Only in named memory do loads see the future.
  public static func name(_ name: @autoclosure () -> String, _ memory: UnsafeRawPointer, bytes: Int) {
    let engine = engine
    let start = UInt(bitPattern: memory)
    if engine.memory.readsFuture { engine.named.append(start..<(start + UInt(bytes))) }
    engine.recorder?.setName(name(), start..<(start + UInt(bytes)))
  }

  /// Adds a line to the running thread's column.
  public static func note(_ text: @autoclosure () -> String) {
    let engine = engine
    if let recorder = engine.recorder { recorder.note(engine.current, text(), .none) }
  }
}
