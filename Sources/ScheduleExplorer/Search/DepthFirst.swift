/// Every execution, one after the other: depth first through the tree of choices.
///
/// With `reduces` only one of any executions that differ in the order of independent steps is looked for. Without a bound
/// on preemptions by source sets (Abdulla et al., "Optimal Dynamic Partial Order Reduction", 2014) and sleep sets (Godefroid
/// 1996); with one by the backtracking points of Coons, Musuvathi and McKinley ("Bounded Partial-Order Reduction", 2013).
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
    var sequential: UInt8 = 0
  }

  // Not checked, for what every step looks at; see `Engine`.
  @exclusivity(unchecked) private var nodes = Pool<Node>(capacity: 1024)
  @exclusivity(unchecked) private var depth = 0
  @exclusivity(unchecked) private var lastThreadNode = 0
  // Threads that need not go next: what they would do was done from an earlier node, and nothing since depends on it.
  @exclusivity(unchecked) private var asleep: UInt8 = 0
  /// Whether what is left of this execution has been seen before, in another order.
  @exclusivity(unchecked) private(set) var isRedundant = false

  @exclusivity(unchecked) private var causality = Causality()

  init(bound: Int?, reduces: Bool) {
    self.bound = bound
    self.reduces = reduces
  }

  deinit {
    nodes.deallocate()
    causality.deallocate()
  }

  func begin() {
    depth = 0
    asleep = 0
    isRedundant = false
    causality.begin()
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
      reorderBlocked(engine, enabled: enabled)
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
      if pending.isSequential { node.sequential |= 1 << UInt8(thread) }
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

  // After what is there already: most executions need none.
  func chooseFuture(_ stores: [GatheredStore]) -> (value: UInt, second: UInt)? {
    guard !isRedundant, !stores.isEmpty else { return nil }
    let chosen = chooseValue(stores.count + 1)
    return chosen > 0 && chosen <= stores.count ? (stores[chosen - 1].value, stores[chosen - 1].second) : nil
  }

  // MARK: Dependence

  func didStep(_ engine: Engine, _ thread: Int, _ step: Pending) {
    guard reduces, !isRedundant else { return }
    let before = reorder(thread, step)
    causality.take(thread, step, engine, before: before, node: lastThreadNode)
    if usesSleep { wake(step) }
  }

  func isStuck(_ engine: Engine) {
    if reduces, !isRedundant { reorderBlocked(engine, enabled: 0) }
  }

  // Locks that were waited for in vain.
  private func reorderBlocked(_ engine: Engine, enabled: UInt8) {
    for thread in 1...engine.threadCount
    where engine.threads[thread].status == .runnable && enabled & (1 << UInt8(thread)) == 0 {
      let pending = engine.threads[thread].pending
      if pending.kind == .lock { _ = reorder(thread, pending) }
    }
  }

  // Wants executions in which the next step of the thread comes before those that it depends on. Answers what comes before
  // it in this one.
  private func reorder(_ thread: Int, _ step: Pending) -> Causality.Steps {
    let (met, before) = causality.meet(thread, step)
    for other in 1..<Clock.threads where met[other] > 0 {
      if bound != nil {
        want(thread, before: met[other])
      } else if step.kind == .lock || !causality.isBefore(met[other], anyOf: met) {
        want(oneOf: causality.initials(before: met[other], thread, before), before: met[other])
      }
    }
    if bound != nil, step.kind == .lock {
      // Where the lock is held the turn to another thread is free.
      let releases = causality.releases(thread, Int(step.cell))
      for other in 1..<Clock.threads where releases[other] > 0 { want(thread, before: releases[other]) }
    }
    return before
  }

  // Source sets (Abdulla et al. 2014): any of the threads that could begin will do. What a sleeping one would begin has been
  // seen.
  private func want(oneOf threads: UInt8, before step: Int32) {
    let node = nodes.base + causality.node(of: Int(step))
    let possible = threads & node.pointee.enabled
    guard possible & (node.pointee.wanted | node.pointee.asleep) == 0 else { return }
    node.pointee.wanted |= possible & ~(possible &- 1)
  }

  private func want(_ thread: Int, before step: Int32) {
    var start = Int(step)
    want(thread, at: causality.node(of: start))
    // Also where the block of steps begins that it is in: there the turn to another thread may be free.
    while start > 1, !isTurn(start) { start -= 1 }
    want(thread, at: causality.node(of: start))
  }

  private func isTurn(_ step: Int) -> Bool {
    let node = nodes.base[causality.node(of: step)]
    return node.chosen != node.before || !node.preempts
  }

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
    let bit: UInt8 = 1 << UInt8(thread)
    // Who paused looks at what it chooses.
    if node.cells[thread] < 0 || step.cell < 0 { return true }
    if node.sequential & bit != 0, step.cell == CellTable.fences { return true }
    if step.isSequential, node.cells[thread] == CellTable.fences { return true }
    return node.cells[thread] == step.cell && (step.isWrite || node.writes & bit != 0)
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
