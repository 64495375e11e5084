/// Every execution, one after the other: depth first through the tree of choices.
///
/// With `reduces` only one of any executions that differ in the order of independent steps is looked for: dynamic
/// partial order reduction (Flanagan and Godefroid 2005), with sleep sets (Godefroid 1996) where there is no bound on
/// preemptions, and with the backtracking points of Coons, Musuvathi and McKinley ("Bounded Partial-Order Reduction",
/// 2013) where there is one. Two steps are dependent when they touch one cell and one of them may change it.
final class DepthFirst: Chooser {
  private let bound: Int?
  private let reduces: Bool
  private var usesSleep: Bool { reduces && bound == nil }

  private struct Node {
    var isThread: Bool
    var chosen: UInt8
    /// Alternatives of a value.
    var count: UInt8 = 0
    // Threads, a bit each.
    var enabled: UInt8 = 0
    var wanted: UInt8 = 0
    var done: UInt8 = 0
    var asleep: UInt8 = 0
    /// The thread that ran before, and whether turning away from it is a preemption.
    var before: UInt8 = 0
    var preempts = false
    var preemptions: UInt8 = 0
    /// What each thread was about to do.
    var cells = SIMD8<Int32>(repeating: -1)
    var writes: UInt8 = 0
  }

  private var nodes = Pool<Node>(capacity: 1024)
  private var depth = 0
  private var lastThreadNode = 0
  // Threads that need not go next: what they would do was done from an earlier node, and nothing since depends on it.
  private var asleep: UInt8 = 0
  /// Whether what is left of this execution has been seen before, in another order.
  private(set) var isRedundant = false

  // The order of dependent steps in this execution: for each cell and thread the last steps on it.
  private struct History {
    var writes = SIMD8<Int32>()
    var reads = SIMD8<Int32>()
    var locks = SIMD8<Int32>()
    var afterWrites = SIMD8<Int32>()
    var afterReads = SIMD8<Int32>()
  }
  private var histories = Pool<History>(capacity: 256)
  private var clocks = [SIMD8<Int32>](repeating: SIMD8(), count: Clock.threads)
  // The node of each step, from 1.
  private var nodeOfStep = Pool<Int32>(capacity: 1024)

  init(bound: Int?, reduces: Bool) {
    self.bound = bound
    self.reduces = reduces
  }

  deinit {
    nodes.deallocate()
    histories.deallocate()
    nodeOfStep.deallocate()
  }

  func begin() {
    depth = 0
    asleep = 0
    isRedundant = false
    histories.removeAll()
    nodeOfStep.removeAll()
    nodeOfStep.append(0)
    for thread in 0..<Clock.threads { clocks[thread] = SIMD8() }
  }

  // MARK: Choose

  func chooseThread(_ engine: Engine, enabled: UInt8) -> Int {
    if isRedundant { return engine.plainChoice(enabled) }
    if depth < nodes.count {
      lastThreadNode = depth
      depth += 1
      return Int(nodes.base[lastThreadNode].chosen)
    }
    let awake = usesSleep ? enabled & ~asleep : enabled
    guard awake != 0 else {
      isRedundant = true
      return engine.plainChoice(enabled)
    }
    let plain = engine.plainChoice(enabled)
    let chosen = awake & (1 << UInt8(plain)) != 0 ? plain : awake.trailingZeroBitCount
    nodes.append(node(engine, enabled, chosen))
    lastThreadNode = depth
    depth += 1
    return chosen
  }

  private func node(_ engine: Engine, _ enabled: UInt8, _ chosen: Int) -> Node {
    var node = Node(isThread: true, chosen: UInt8(chosen), enabled: enabled)
    node.wanted = reduces ? 1 << UInt8(chosen) : enabled
    node.asleep = asleep
    node.before = UInt8(engine.current)
    node.preempts = engine.canGoOn(enabled)
    if depth > 0 {
      let parent = nodes.base[lastThreadNode]
      node.preemptions = parent.preemptions + (isPreemption(parent, Int(parent.chosen)) ? 1 : 0)
    }
    for thread in 1...engine.threadCount {
      let pending = engine.threads[thread].pending
      node.cells[thread] = pending.cell
      if pending.isWrite { node.writes |= 1 << UInt8(thread) }
    }
    return node
  }

  private func isPreemption(_ node: Node, _ thread: Int) -> Bool { node.preempts && thread != Int(node.before) }

  func chooseValue(_ count: Int) -> Int {
    if isRedundant { return 0 }
    if depth == nodes.count { nodes.append(Node(isThread: false, chosen: 0, count: UInt8(min(count, 255)))) }
    depth += 1
    return Int(nodes.base[depth - 1].chosen)
  }

  // MARK: Dependence

  func didStep(_ engine: Engine, _ thread: Int, _ step: Pending) {
    guard reduces, !isRedundant else { return }
    nodeOfStep.append(Int32(lastThreadNode))
    let number = Int32(nodeOfStep.count - 1)
    if step.cell >= 0 { order(thread, number, step) }
    clocks[thread][thread] = number
    if step.cell >= 0 { publish(thread, number, step) }
    if usesSleep { wake(step) }
  }

  private func history(_ cell: Int) -> UnsafeMutablePointer<History> {
    while histories.count <= cell { histories.append(History()) }
    return histories.base + cell
  }

  private func order(_ thread: Int, _ number: Int32, _ step: Pending) {
    let history = history(Int(step.cell))
    if step.kind == .lock {
      // A release can't go after the lock that it makes possible; another lock could have.
      raced(thread, history.pointee.locks)
    } else {
      raced(thread, history.pointee.writes)
      if step.isWrite { raced(thread, history.pointee.reads) }
    }
    clocks[thread] = pointwiseMax(clocks[thread], history.pointee.afterWrites)
    if step.isWrite { clocks[thread] = pointwiseMax(clocks[thread], history.pointee.afterReads) }
  }

  private func publish(_ thread: Int, _ number: Int32, _ step: Pending) {
    let history = history(Int(step.cell))
    if step.kind == .lock || step.kind == .tryLock { history.pointee.locks[thread] = number }
    if step.isWrite {
      history.pointee.writes[thread] = number
      history.pointee.afterWrites = pointwiseMax(history.pointee.afterWrites, clocks[thread])
    } else {
      history.pointee.reads[thread] = number
      history.pointee.afterReads = pointwiseMax(history.pointee.afterReads, clocks[thread])
    }
  }

  func didResume(_ thread: Int, after cell: Int) {
    guard reduces, !isRedundant, cell < histories.count else { return }
    clocks[thread] = pointwiseMax(clocks[thread], histories.base[cell].afterWrites)
  }

  // Steps that could as well have come after the one that `thread` takes now.
  private func raced(_ thread: Int, _ steps: SIMD8<Int32>) {
    let late = steps .> clocks[thread]
    for other in 1..<Clock.threads where late[other] && other != thread { want(thread, before: Int(steps[other])) }
  }

  private func want(_ thread: Int, before step: Int) {
    let node = Int(nodeOfStep.base[step])
    want(thread, at: node)
    guard bound != nil else { return }
    // Also where the block of steps begins that it is in: there the turn to another thread may be free.
    var start = step
    while start > 1, !isTurn(Int(nodeOfStep.base[start])) { start -= 1 }
    want(thread, at: Int(nodeOfStep.base[start]))
  }

  private func isTurn(_ node: Int) -> Bool { nodes.base[node].chosen != nodes.base[node].before }

  private func want(_ thread: Int, at node: Int) {
    let bit: UInt8 = 1 << UInt8(thread)
    nodes.base[node].wanted |= nodes.base[node].enabled & bit != 0 ? bit : nodes.base[node].enabled
  }

  // Whoever slept and depends on the step wakes up.
  private func wake(_ step: Pending) {
    let node = nodes.base[lastThreadNode]
    var sleeping = (node.asleep | node.done) & ~(1 << node.chosen)
    for thread in 1..<Clock.threads where sleeping & (1 << UInt8(thread)) != 0 && depends(thread, node, step) {
      sleeping &= ~(1 << UInt8(thread))
    }
    asleep = sleeping
  }

  private func depends(_ thread: Int, _ node: Node, _ step: Pending) -> Bool {
    // Who paused looks at what it chooses.
    if node.cells[thread] < 0 || step.cell < 0 { return true }
    return node.cells[thread] == step.cell && (step.isWrite || node.writes & (1 << UInt8(thread)) != 0)
  }

  // MARK: Go on

  /// Turns to the next execution; false when there is none left.
  func advance() -> Bool {
    while nodes.count > 0 {
      let last = nodes.base + (nodes.count - 1)
      if last.pointee.isThread {
        last.pointee.done |= 1 << last.pointee.chosen
        var left = last.pointee.wanted & ~last.pointee.done & ~last.pointee.asleep
        while left != 0 {
          let thread = left.trailingZeroBitCount
          left &= left &- 1
          guard let bound, Int(last.pointee.preemptions) + (isPreemption(last.pointee, thread) ? 1 : 0) > bound else {
            last.pointee.chosen = UInt8(thread)
            return true
          }
        }
      } else if last.pointee.chosen + 1 < last.pointee.count {
        last.pointee.chosen += 1
        return true
      }
      nodes.removeLast()
    }
    return false
  }
}
