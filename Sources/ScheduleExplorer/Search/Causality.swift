/// Which steps of an execution depend on which: for each step a vector clock of the steps that come before it however the
/// independent ones are ordered.
///
/// Two steps of different threads are dependent when they touch one cell and one of them may change it. Steps are numbered
/// from 1. A fence of sequential order changes the cell that stands for their order, and other steps of that order read
/// it. A thread that goes on after a pause reads all that it waited for. Nothing comes before that a thread goes on, not even
/// what woke it: going on does nothing, and the steps behind it depend on what they touch.
struct Causality {
  typealias Steps = SIMD8<Int32>

  private struct Touches {
    // The last steps of each thread.
    var writes = Steps()
    var reads = Steps()
    var locks = Steps()
    // What comes before whoever depends on them.
    var afterWrites = Steps()
    var afterReads = Steps()
  }

  private struct Step {
    var thread: UInt8
    var node: Int32
    var before: Steps
  }

  private var cells = Pool<Touches>(capacity: 256)
  private var steps = Pool<Step>(capacity: 1024)
  private let clocks = UnsafeMutablePointer<Steps>.allocate(capacity: Clock.threads)

  mutating func deallocate() {
    cells.deallocate()
    steps.deallocate()
    clocks.deallocate()
  }

  mutating func begin() {
    cells.removeAll()
    steps.removeAll()
    steps.append(Step(thread: 0, node: 0, before: Steps()))
    clocks.initialize(repeating: Steps(), count: Clock.threads)
  }

  /// The node of the search in which a step was chosen.
  func node(of step: Int) -> Int { Int(steps.base[step].node) }

  // MARK: A step

  /// What the next step of a thread meets: the last step of each other thread that it depends on and that nothing else
  /// puts before it, 0 where there is none; and all that comes before it.
  mutating func meet(_ thread: Int, _ step: Pending) -> (steps: Steps, before: Steps) {
    var last = Steps()
    var before = clocks[thread]
    if step.cell >= 0 {
      let touches = touches(Int(step.cell)).pointee
      // A release can't go after the lock that it makes possible; another lock could have.
      last = step.kind == .lock ? touches.locks : step.isWrite ? pointwiseMax(touches.writes, touches.reads) : touches.writes
      before = pointwiseMax(before, touches.afterWrites)
      if step.isWrite { before = pointwiseMax(before, touches.afterReads) }
    }
    if step.isSequential {
      let fences = touches(CellTable.fences).pointee
      last = pointwiseMax(last, fences.writes)
      before = pointwiseMax(before, fences.afterWrites)
    }
    return (news(last, thread), before)
  }

  // A thread knows its own steps.
  private func news(_ last: Steps, _ thread: Int) -> Steps { last.replacing(with: 0, where: last .<= clocks[thread]) }

  /// The last step on a lock of each thread whose step does not come before the next one of `thread`.
  mutating func releases(_ thread: Int, _ lock: Int) -> Steps { news(touches(lock).pointee.writes, thread) }

  /// Takes the step, after what `meet` answered as being before it.
  mutating func take(_ thread: Int, _ step: Pending, _ engine: Engine, before: Steps, node: Int) {
    let number = Int32(steps.count)
    var clock = before
    clock[thread] = number
    clocks[thread] = clock
    steps.append(Step(thread: UInt8(thread), node: Int32(node), before: clock))
    if step.cell >= 0 {
      if step.kind == .lock || step.kind == .tryLock { touches(Int(step.cell)).pointee.locks[thread] = number }
      publish(thread, Int(step.cell), isWrite: step.isWrite)
    }
    if step.isSequential { publish(thread, CellTable.fences, isWrite: false) }
    if step.kind == .pause {
      let set = engine.readSets[thread]
      for index in 0..<set.count { publish(thread, Int(set[index].cell), isWrite: false) }
    }
  }

  private mutating func publish(_ thread: Int, _ cell: Int, isWrite: Bool) {
    let touches = touches(cell)
    let clock = clocks[thread]
    if isWrite {
      touches.pointee.writes[thread] = clock[thread]
      touches.pointee.afterWrites = pointwiseMax(touches.pointee.afterWrites, clock)
    } else {
      touches.pointee.reads[thread] = clock[thread]
      touches.pointee.afterReads = pointwiseMax(touches.pointee.afterReads, clock)
    }
  }

  private mutating func touches(_ cell: Int) -> UnsafeMutablePointer<Touches> {
    while cells.count <= cell { cells.append(Touches()) }
    return cells.base + cell
  }

  // MARK: Another order

  /// Whether one of `others` comes after `step` in any order.
  func isBefore(_ step: Int32, anyOf others: Steps) -> Bool {
    let thread = Int(steps.base[Int(step)].thread)
    for other in 1..<Clock.threads where others[other] > step && steps.base[Int(others[other])].before[thread] >= step {
      return true
    }
    return false
  }

  /// Which threads (a bit each) could have gone instead of `step`, so that the next step of `thread` comes before it: those
  /// whose first step after it waits for none of the others that do not depend on it.
  func initials(before step: Int32, _ thread: Int, _ before: Steps) -> UInt8 {
    let other = Int(steps.base[Int(step)].thread)
    var first = Steps(repeating: .max)
    var initials: UInt8 = 0
    func meet(_ thread: Int, _ number: Int32, _ before: Steps) {
      guard first[thread] == .max else { return }
      var waits = first .<= before
      waits[thread] = false
      first[thread] = number
      if !any(waits) { initials |= 1 << UInt8(thread) }
    }
    for number in Int(step) + 1..<max(steps.count, Int(step) + 1) {
      let later = steps.base[number]
      if later.before[other] < step { meet(Int(later.thread), Int32(number), later.before) }
    }
    meet(thread, Int32(steps.count), before)
    return initials
  }
}
