import CScheduleExplorer

/// Runs one execution after the other of some threads, one thread at a time, every shared step a choice.
///
/// The threads are contexts with stacks of their own on one thread of the system. A thread says what its next step is,
/// and then the chooser picks whose step is taken; if it is another's, its context is switched to directly. Thread 0
/// sets up before the others begin and checks after they have ended; its steps are no choices.
final class Engine {
  @exclusivity(unchecked) private(set) var memory = MemoryModel.releaseAcquire
  @exclusivity(unchecked) private(set) var stepLimit = 0
  @exclusivity(unchecked) private(set) var weakening: Weakening?
  @exclusivity(unchecked) private(set) var chooser: any Chooser

  let threads = UnsafeMutablePointer<ThreadState>.allocate(capacity: Clock.threads)
  let readSets = UnsafeMutablePointer<ReadSet>.allocate(capacity: Clock.threads)
  private let contexts = UnsafeMutablePointer<explorer_context>.allocate(capacity: Clock.threads)
  private var bodies: [() throws -> Void] = []

  // What every step looks at goes without the checks of exclusive access, which took half the time: one thread of the system
  // uses it, and no access lasts longer than a line.

  @exclusivity(unchecked) private(set) var threadCount = 0
  /// The thread that runs.
  @exclusivity(unchecked) private(set) var current = 0
  @exclusivity(unchecked) private var phase = Phase.alone
  private enum Phase { case alone, starting, together }
  /// While nothing else runs, memory is simply what it is.
  var isAlone: Bool { phase == .alone }
  var isSettingUp: Bool { phase == .alone && threadCount == 0 }
  /// What the scenario keeps for the code that it runs.
  var environment: AnyObject?

  @exclusivity(unchecked) var table = CellTable()
  @exclusivity(unchecked) var stores = Pool<Store>(capacity: 1024)
  let candidates = UnsafeMutablePointer<Int32>.allocate(capacity: 256)
  /// The load that waits for its store, whether there has been one, and whether there can't be a store any more.
  @exclusivity(unchecked) var futureRead: FutureRead?
  @exclusivity(unchecked) var hasReadFuture = false
  @exclusivity(unchecked) var isUnfounded = false
  /// Memory that was given a name, where loads may see the future.
  @exclusivity(unchecked) var named: [Range<UInt>] = []
  /// What failed of an execution before it was known to be one.
  @exclusivity(unchecked) var failureAhead: Failure?
  @exclusivity(unchecked) var gathered = GatheredStores()
  /// What fences of sequential order have published, and stores of that order for them.
  @exclusivity(unchecked) var sequence = Clock()
  @exclusivity(unchecked) var sequentialStores = Clock()
  /// Memory that was given back.
  @exclusivity(unchecked) var released: [Range<UInt>] = []
  /// To be done when the execution is over.
  private var afterwards: [() -> Void] = []

  /// Steps taken in this execution.
  @exclusivity(unchecked) private(set) var events = 0
  @exclusivity(unchecked) private(set) var failure: Failure?
  @exclusivity(unchecked) var recorder: Recorder?
  @exclusivity(unchecked) var survey: Survey?

  static let stackBytes = 256 << 10

  init(_ plan: Plan, _ chooser: any Chooser) {
    self.chooser = chooser
    threads.initialize(repeating: ThreadState(), count: Clock.threads)
    contexts.initialize(repeating: explorer_context(), count: Clock.threads)
    for thread in 0..<Clock.threads { (readSets + thread).initialize(to: ReadSet()) }
    prepare(plan, chooser)
  }

  /// Makes it ready for another search.
  func prepare(_ plan: Plan, _ chooser: any Chooser) {
    memory = plan.memory
    stepLimit = plan.stepLimit
    weakening = plan.weakening
    self.chooser = chooser
    survey = nil
    recorder = nil
    gathered = GatheredStores()
  }

  deinit {
    for thread in 0..<Clock.threads {
      readSets[thread].deallocate()
      explorer_context_unmake(contexts + thread)
    }
    readSets.deallocate()
    threads.deallocate()
    contexts.deallocate()
    candidates.deallocate()
    table.deallocate()
    stores.deallocate()
  }

  /// The engine whose execution the caller is in; nil outside of any.
  static var running: Engine? {
    explorer_current().map { Unmanaged<Engine>.fromOpaque($0).takeUnretainedValue() }
  }

  // MARK: One execution

  /// Runs `setUp`, then the bodies that it answers together, then what it answers for the end. Answers what failed.
  func execute(_ setUp: () throws -> (bodies: [() throws -> Void], check: () throws -> Void)) -> Failure? {
    let outer = explorer_current()
    explorer_set_current(Unmanaged.passUnretained(self).toOpaque())
    defer {
      explorer_set_current(outer)
      for action in afterwards { action() }
      afterwards.removeAll(keepingCapacity: true)
    }
    reset()
    do {
      let (bodies, check) = try setUp()
      run(bodies)
      if futureRead != nil { isUnfounded = true }
      if let failureAhead { note(failureAhead) }
      if failure == nil, !isUnfounded {
        recorder?.note(0, "checks the outcome", .none)
        try check()
      }
    } catch { note(error) }
    bodies = []
    return failure
  }

  private func reset() {
    failure = nil
    events = 0
    current = 0
    phase = .alone
    threadCount = 0
    table.removeAll()
    stores.removeAll()
    futureRead = nil
    hasReadFuture = false
    isUnfounded = false
    failureAhead = nil
    named.removeAll(keepingCapacity: true)
    sequence = Clock()
    sequentialStores = Clock()
    released.removeAll(keepingCapacity: true)
    environment = nil
    threads[0] = ThreadState()
    threads[0].status = .runnable
    threads[0].clock[0] = 1
    readSets[0].removeAll()
    recorder?.begin()
    chooser.begin()
  }

  private func run(_ bodies: [() throws -> Void]) {
    precondition(bodies.count < Clock.threads, "at most \(Clock.threads - 1) threads can be explored")
    self.bodies = bodies
    threadCount = bodies.count
    guard threadCount > 0, failure == nil else { return }
    phase = .starting
    for thread in 1...threadCount { start(thread) }
    phase = .together
    let first = failure == nil ? decide() : 0
    if first > 0 { goTo(first) }
    phase = .alone
    for thread in 1...threadCount { threads[0].clock.join(threads[thread].clock) }
    threads[0].clock[0] &+= 1
  }

  // Up to the thread's first step, which is only said, not taken.
  private func start(_ thread: Int) {
    guard failure == nil else { return }
    if contexts[thread].stack == nil {
      precondition(explorer_context_make(contexts + thread, Self.stackBytes) != 0, "no memory for a thread's stack")
    }
    threads[thread] = ThreadState()
    threads[thread].status = .runnable
    threads[thread].clock = threads[0].clock
    threads[thread].clock[thread] = 1
    readSets[thread].removeAll()
    explorer_context_enter(contexts + thread, { Engine.main($0) }, Unmanaged.passUnretained(self).toOpaque())
    goTo(thread)
  }

  private static func main(_ engine: UnsafeMutableRawPointer?) {
    let engine = Unmanaged<Engine>.fromOpaque(engine.unsafelyUnwrapped)
    // In a function of its own, so that nothing is held when the stack is left for good.
    engine._withUnsafeGuaranteedRef { $0.runBody() }
    while true { engine._withUnsafeGuaranteedRef { $0.finish() } }
  }

  @inline(never)
  private func runBody() {
    explorer_context_arrived(contexts + current)
    do { try bodies[current - 1]() } catch { fail(error as? Failure ?? Failure(.violation, "\(error)")) }
  }

  @inline(never)
  private func finish() {
    threads[current].status = .finished
    goTo(phase == .starting ? 0 : decide())
  }

  func goTo(_ thread: Int) {
    let left = current
    current = thread
    explorer_context_switch(contexts + left, contexts + thread)
  }

  // MARK: Steps

  /// Says what the running thread will do next, and returns when it is chosen to do it.
  func step(_ kind: Pending.Kind, _ cell: Int, isWrite: Bool, isSequential: Bool = false, _ place: Place) {
    guard phase != .alone else { return }
    let own = current
    threads[own].pending = Pending(kind: kind, cell: Int32(cell), isWrite: isWrite, isSequential: isSequential, place: place)
    if phase == .starting {
      goTo(0)
    } else {
      let next = decide()
      if next != own { goTo(next) }
    }
    events += 1
    chooser.didStep(self, own, threads[own].pending)
  }

  /// Sleeps until another thread ends it.
  func sleep() {
    threads[current].status = .asleep
    let own = current
    let next = decide()
    if next != own { goTo(next) }
    events += 1
    chooser.didStep(self, own, threads[own].pending)
  }

  // The thread to go on with; 0 when all have ended or something has failed.
  func decide() -> Int {
    var enabled: UInt8 = 0
    for thread in 1...threadCount where isEnabled(thread) { enabled |= 1 << UInt8(thread) }
    if enabled == 0 {
      if let stuck = stuckThreads() {
        failure = stuck
        chooser.isStuck(self)
      }
      return 0
    }
    guard events < stepLimit else {
      failure = Failure(.stepLimit, "no end after \(events) steps")
      return 0
    }
    return chooser.chooseThread(self, enabled: enabled)
  }

  private func isEnabled(_ thread: Int) -> Bool {
    guard threads[thread].status == .runnable else { return false }
    switch threads[thread].pending.kind {
    case .lock: return table[Int(threads[thread].pending.cell)].pointee.holder == 0
    case .pause: return hasNews(thread)
    default: return true
    }
  }

  private func hasNews(_ thread: Int) -> Bool {
    let set = readSets[thread]
    if threads[thread].mayProceed || set.count == 0 { return true }
    for index in 0..<set.count where table[Int(set[index].cell)].pointee.version != set[index].version { return true }
    return false
  }

  /// In the running thread: the others take no further step, as in the child of a fork, whose memory is as they left it. It
  /// is a step itself, so that it comes wherever the others are.
  func endOthers(_ place: Place) {
    step(.goOn, -1, isWrite: true, place)
    recorder?.note(current, "the others end", place)
    for thread in 1...max(threadCount, 1) where thread != current {
      if threads[thread].status != .finished { threads[thread].status = .gone }
      threads[current].clock.join(threads[thread].clock)
    }
  }

  func later(_ action: @escaping () -> Void) { afterwards.append(action) }

  // MARK: Failures

  private func stuckThreads() -> Failure? {
    var kinds: [Pending.Kind] = []
    var words: [String] = []
    for thread in 1...threadCount {
      let state = threads[thread]
      guard state.status == .runnable || state.status == .asleep else { continue }
      kinds.append(state.pending.kind)
      let cell = Int(state.pending.cell)
      let name = cell < 0 ? "" : " " + (recorder?.name(table[cell].pointee.address) ?? "")
      let verb =
        switch state.pending.kind {
        case .lock: "waits for the lock\(name), held by \(threadName(Int(table[cell].pointee.holder)))"
        case .pause: "spins on what nobody will change"
        default: "sleeps on\(name), and nobody will wake it"
        }
      words.append("\(threadName(thread)) \(verb) (\(state.pending.place.sourceLine))")
    }
    guard !words.isEmpty else { return nil }
    let kind: Failure.Kind =
      kinds.contains(.lock) ? .deadlock : kinds.contains(.pause) ? .livelock : .lostWakeUp
    return Failure(kind, words.joined(separator: "; "))
  }

  func threadName(_ thread: Int) -> String { thread % Clock.threads == 0 ? "main" : String(UnicodeScalar(UInt8(64 + thread))) }

  func note(_ error: any Error) {
    if failure == nil { failure = error as? Failure ?? Failure(.violation, "\(error)") }
  }

  /// Ends the execution. In a thread this never returns; its stack is dropped as it is.
  func fail(_ failure: Failure) {
    if phase == .together { recorder?.note(current, "✗ \(failure)", .none) }
    if phase == .together, futureRead != nil || isUnfounded { failAhead(failure) }
    note(failure)
    guard phase != .alone else { return }
    while true { goTo(0) }
  }
}
