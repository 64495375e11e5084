import Ashlar

/// Carries operation programs out on Ashlar against the oracle.
///
/// One operation at a time, on the thread that the program names, each answer checked. Every misuse must draw exactly one
/// report of the right kind and change nothing. One at a time in a process, while faults are being recorded.
final class OperationRunner {
  /// What is kept of the block of a slot beside what the oracle knows.
  struct Slot {
    var address: UInt?
    /// Where its last block was, and how large.
    var former: (address: UInt, size: Int)?
    /// What was asked for when it was allocated: a mapping keeps it when it is resized.
    var alignment = 1
    /// Every block was guarded by canaries when it was allocated, and it has not moved since.
    var isGuarded = false
  }

  /// A block that was freed by the step before, of which more is known than of others.
  struct Freed: Equatable {
    let address: UInt
    /// On one of these it lay.
    let levels: [Level]
    let thread: Int
  }

  let subject: any Subject
  var oracle: Oracle
  var slots = [Slot](repeating: Slot(), count: Operation.slots)
  var guards = PoolAllocator.Guards()
  /// Whether no block is guarded, and no call of the system failed.
  var isPlain = true
  var thread = 0
  var freshlyFreed: Freed?
  private var ran: Set<Int> = [0]
  private var budget = MediumBudget()
  private let workers = Workers.shared

  init(_ subject: any Subject) {
    self.subject = subject
    oracle = Oracle(subject, seed: 0, wholeBelow: 16 << 10)
  }

  /// Takes steps until none is left, each on its thread: `next` takes one, and answers whether there was one.
  func takeSteps(_ next: () -> Bool) {
    withoutActuallyEscaping(next) { next in
      var isDone = false
      while !isDone {
        let here = thread
        // A change of threads costs more than a step.
        workers.perform(on: here) {
          repeat { isDone = !next() } while !isDone && self.thread == here
        }
      }
    }
  }

  /// Carries a step out, on its thread, and answers what is wrong.
  func perform(_ step: Step) -> String? { carryOut(step) ?? oracle.findings.first }

  /// Gives everything back: all goes home, so that one program begins like another.
  func close() -> String? {
    PoolAllocator.liftSystemFaults()
    if PoolAllocator.isTracking { PoolAllocator.isTracking = false }
    if PoolAllocator.guards != .init() { PoolAllocator.guards = .init() }
    oracle.verifyAll()
    oracle.freeAll()
    for thread in ran where workers.isRunning(thread) {
      workers.perform(on: thread) { PoolAllocator().reclaim() }
    }
    if let finding = oracle.findings.first { return finding }
    let pool = PoolAllocator()
    let live = pool.statistics().total.liveBlocks
    if live != 0 { return "\(live) blocks are counted as live" }
    return pool.checkInvariants() ? nil : "the heap's records do not agree"
  }

  private func carryOut(_ step: Step) -> String? {
    let operation = Operation(rawValue: step.verb)!
    defer { if ![.free, .misuse, .measure, .verify, .check, .count].contains(operation) { freshlyFreed = nil } }
    switch operation {
    case .allocate: allocate(step[0], size: step[1], alignment: 1 << step[2], zeroed: step[3] != 0)
    case .reallocate: reallocate(step[0], size: step[1])
    case .free: release(step[0], sized: step[1] != 0)
    case .measure: return measure(step[0])
    case .verify: oracle.verifyAll()
    case .check: return subject.heapIsSound ? nil : "the heap's records do not agree"
    case .trim: subject.trim()
    case .purge: PoolAllocator().purge()
    case .thread: change(to: step[0])
    case .endThread: if step[0] != thread { workers.end(step[0]) }
    case .misuse: return misuse(step[0], MisuseCase.Act.allCases[step[1]], Mistake.allCases[step[2]])
    case .probe: return probe(step[0], offset: step[2] == 0 ? step[1] : -step[1])
    case .damage: return damage(step[0], Harm.allCases[step[1]])
    case .guards: guardBlocks(PoolAllocator.Guards(canaries: step[0], pages: step[1]))
    case .fail: fail(call: step[0], onwards: step[1] != 0)
    case .track: subject.setTracking(step[0] != 0)
    case .releaseHuge: return releaseHuge()
    case .count: return count()
    case .refuse: return refuse(NoRequest.allCases[step[0]])
    case .access: return access(step[0], offset: step[1], before: step[2] != 0)
    }
    return nil
  }

  private func change(to next: Int) {
    thread = next
    ran.insert(next)
  }

  // MARK: Right uses

  func position(_ slot: Int) -> Int? { slots[slot].address.flatMap { oracle.position(ofLive: $0) } }

  private func allocate(_ slot: Int, size: Int, alignment: Int, zeroed: Bool) {
    release(slot, sized: false)
    // A guarded block is filled when it is freed.
    guard budget.allows(size, written: zeroed && size <= 512 << 20 || guards != .init()) else { return }
    slots[slot].address = oracle.allocate(size: size, alignment: alignment, zeroed: zeroed)?.address
    slots[slot].alignment = alignment
    slots[slot].isGuarded = guards == .init(canaries: 1, pages: 0)
  }

  private func reallocate(_ slot: Int, size: Int) {
    guard let index = position(slot), allowsMove(slots[slot], of: oracle.live[index].size, to: size) else { return }
    slots[slot].former = (oracle.live[index].address, oracle.live[index].size)
    slots[slot].address = oracle.reallocate(index, size: size)
    slots[slot].isGuarded = false
  }

  // A mapping is moved without being copied, unless it is guarded, aligned to more than a page, or the system refuses. What
  // is guarded is made known to AddressSanitizer, all of it.
  private func allowsMove(_ slot: Slot, of held: Int, to size: Int) -> Bool {
    let mapping = 512 << 20
    if min(held, size) > mapping { return isPlain && slot.alignment <= 4096 }
    return budget.allows(size > mapping && guards == .init() ? held : size, written: true)
  }

  func release(_ slot: Int, sized: Bool) {
    guard let index = position(slot) else { return }
    let block = oracle.live[index]
    let levels = levels(block)
    oracle.free(index, sized: sized)
    forget(slot, block)
    freshlyFreed = Freed(address: block.address, levels: levels, thread: thread)
  }

  /// The slot is empty from now on.
  func forget(_ slot: Int, _ block: Oracle.Block) {
    slots[slot] = Slot(address: nil, former: (block.address, block.size))
  }

  private func levels(_ block: Oracle.Block) -> [Level] {
    let unit = 1 << 20
    let rounded = (max(block.size, 1) + block.alignment - 1) & ~(block.alignment - 1)
    if block.alignment > 64 << 10 || rounded > 512 << 20 { return [rounded > 1 << 30 ? .huge : .large] }
    if rounded > unit { return [.medium] }
    // One that has grown may have a unit to itself.
    return subject.usableSize(block.pointer) == unit ? [.small, .medium] : [.small]
  }

  private func measure(_ slot: Int) -> String? {
    guard let index = position(slot) else { return nil }
    let usable = subject.usableSize(oracle.live[index].pointer)
    return usable < oracle.live[index].size ? "\(usable) usable bytes" : nil
  }

  private func guardBlocks(_ wanted: PoolAllocator.Guards) {
    guards = wanted
    isPlain = isPlain && wanted == .init()
    subject.setGuards(wanted)
  }

  private func fail(call: Int, onwards: Bool) {
    if call == 0 { return PoolAllocator.liftSystemFaults() }
    isPlain = false
    PoolAllocator.injectSystemFault(call: call, onwards: onwards)
  }
}
