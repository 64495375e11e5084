import Ashlar

// Object pools, one for a thread and one that is shared, against what is live in them.
extension FuzzTarget {
  private enum Request: Int, CaseIterable {
    case open, take, put, destroy, misuse, preallocate, write, check

    var verb: Grammar.Verb {
      let slot = Grammar.Parameter.number(below: ObjectPoolRunner.slots)
      let shared = Grammar.Parameter.flag("shared")
      return switch self {
      case .open: Grammar.Verb("open", .number("capacity", below: 80), .number("blocks", below: 5), .flag("guarded"))
      case .take: Grammar.Verb("take", slot, shared)
      case .put: Grammar.Verb("put", slot)
      case .destroy: Grammar.Verb("destroy", slot)
      case .misuse: Grammar.Verb("misuse", slot, .word(ObjectPoolRunner.Wrong.allCases.map(\.rawValue)), .flag("destroy"))
      case .preallocate: Grammar.Verb("preallocate", .number("count", below: 90), shared)
      case .write: Grammar.Verb("write-freed", .number("offset", below: 64), shared)
      case .check: Grammar.Verb("check")
      }
    }
  }

  static let objectPools = FuzzTarget(
    "object-pools", "object pools, shared and not, guarded and not: contents, order, counts, misuse, and blocks that are refused",
    Grammar(Request.allCases.map(\.verb), weights: ["take": 6, "put": 4, "misuse": 3]),
    begin: { ObjectPoolRunner() },
    perform: { runner, step in
      switch Request(rawValue: step.verb)! {
      case .open: runner.open(capacity: step[0], blocks: step[1], guarded: step[2] != 0)
      case .take: runner.take(step[0], shared: step[1] != 0)
      case .put: runner.put(step[0], destroys: false)
      case .destroy: runner.put(step[0], destroys: true)
      case .misuse: runner.misuse(step[0], ObjectPoolRunner.Wrong.allCases[step[1]], destroys: step[2] != 0)
      case .preallocate: runner.preallocate(step[0], shared: step[1] != 0)
      case .write: runner.writeFreed(step[0], shared: step[1] != 0)
      case .check: runner.check()
      }
    }, close: { $0.close() })
}

private final class ObjectPoolRunner {
  typealias Line = (UInt, UInt, UInt, UInt, UInt, UInt, UInt, UInt)

  enum Wrong: String, CaseIterable {
    case freed, middle, misaligned, untouched, behind, before, none
  }

  static let slots = 16

  /// The pool of one thread; a class, to be held beside the other.
  private final class Own {
    let pool: ObjectPool<Line>
    init(_ capacity: Int, _ allocator: RationedAllocator) throws { pool = try ObjectPool(capacity: capacity, allocator: allocator) }
  }

  private struct Object {
    let pointer: UnsafeMutablePointer<Line>
    let isShared: Bool
    let seed: UInt
  }

  private var own: Own?
  private var shared: SharedObjectPool<Line>?
  private var capacity = 0
  private var isGuarded = false
  private var held = [Object?](repeating: nil, count: slots)
  /// What each pool got back last, and hands out next; and how much it has handed out so far.
  private var freed: [UnsafeMutablePointer<Line>?] = [nil, nil]
  private var served = [0, 0]
  private var made: UInt = 0

  private func live(_ isShared: Bool) -> Int { held.reduce(0) { $0 + ($1?.isShared == isShared ? 1 : 0) } }

  /// New pools, of so many blocks in all: a pool lies in two. 0 for any number.
  func open(capacity: Int, blocks: Int, guarded: Bool) -> String? {
    if let failure = closePools() { return failure }
    let allocator = RationedAllocator(blocks: blocks == 0 ? 4 : blocks)
    PoolAllocator.guards = .init(canaries: guarded ? 1 : 0)
    own = try? Own(capacity, allocator)
    shared = try? SharedObjectPool(capacity: capacity, allocator: allocator)
    PoolAllocator.guards = .init()
    (self.capacity, isGuarded) = (capacity, guarded)
    (freed, served) = ([nil, nil], [0, 0])
    if (own != nil) != (blocks != 1) { return "a pool of \(blocks) blocks" }
    return (shared != nil) == (blocks == 0 || blocks == 4) ? nil : "a second pool of \(blocks) blocks"
  }

  private func isThere(_ isShared: Bool) -> Bool { isShared ? shared != nil : own != nil }

  func take(_ slot: Int, shared isShared: Bool) -> String? {
    if let failure = put(slot, destroys: false) { return failure }
    guard isThere(isShared) else { return nil }
    made += 1
    let seed = made
    let value = (seed, seed, seed, seed, seed, seed, seed, ~seed)
    let object = isShared ? try? shared!.make(value) : try? own!.pool.make(value)
    let before = live(isShared)
    if (object != nil) != (before < capacity) { return "with \(before) of \(capacity) live the answer is \(object as Any)" }
    guard let object else { return nil }
    let index = isShared ? 1 : 0
    if let last = freed[index], last != object { return "what was freed last is not the next to be taken" }
    freed[index] = nil
    served[index] += 1
    if held.contains(where: { $0?.pointer == object }) { return "an object is handed out twice" }
    held[slot] = Object(pointer: object, isShared: isShared, seed: seed)
    return nil
  }

  func put(_ slot: Int, destroys: Bool) -> String? {
    guard let object = held[slot] else { return nil }
    if let failure = verify(object) { return failure }
    held[slot] = nil
    freed[object.isShared ? 1 : 0] = object.pointer
    give(object.pointer, shared: object.isShared, destroys: destroys)
    return nil
  }

  private func give(_ pointer: UnsafeMutablePointer<Line>, shared isShared: Bool, destroys: Bool) {
    switch (isShared, destroys) {
    case (true, true): shared!.destroy(pointer)
    case (true, false): shared!.deallocate(pointer)
    case (false, true): own!.pool.destroy(pointer)
    case (false, false): own!.pool.deallocate(pointer)
    }
  }

  private func verify(_ object: Object) -> String? {
    let line = object.pointer.pointee
    return line.0 == object.seed && line.3 == object.seed && line.7 == ~object.seed ? nil : "an object changed under its owner's hands"
  }

  // MARK: Misuse

  func misuse(_ slot: Int, _ wrong: Wrong, destroys: Bool) -> String? {
    guard let object = held[slot] else { return nil }
    let start = UnsafeMutableRawPointer(object.pointer)
    let inside = "inside an object of the pool"
    let index = object.isShared ? 1 : 0
    let (pointer, kind, states): (UnsafeMutableRawPointer?, String, [String]) =
      switch wrong {
      case .freed: (freed[index].map { UnsafeMutableRawPointer($0) }, "double free", ["already free: in its object pool"])
      case .middle: (start + 32, "invalid pointer", [inside])
      case .misaligned: (start + 1, "invalid pointer", [inside])
      case .untouched:
        (
          served[index] == 1 && capacity > 1 && freed[index] == nil ? start + 64 : nil, "invalid pointer",
          ["never allocated: untouched in its object pool"]
        )
      case .behind: (start + 64 * capacity, "invalid pointer", ["not from this object pool"])
      case .before: (start - 64 * capacity, "invalid pointer", ["not from this object pool"])
      case .none: (UnsafeMutableRawPointer(bitPattern: 4096), "invalid pointer", ["not from this object pool"])
      }
    guard let pointer else { return nil }
    let before = object.isShared ? shared!.statistics : own!.pool.statistics
    give(pointer.assumingMemoryBound(to: Line.self), shared: object.isShared, destroys: destroys)
    let faults = FaultRecorder.take()
    guard faults.count == 1, faults[0].kind == kind, states.contains(faults[0].state), faults[0].address == UInt(bitPattern: pointer) else {
      return "reported as: \(faults)"
    }
    return (object.isShared ? shared!.statistics : own!.pool.statistics) == before ? nil : "the counters changed"
  }

  /// A byte of what was freed last is changed: the next to get it hears of it where the pool is guarded.
  func writeFreed(_ offset: Int, shared isShared: Bool) -> String? {
    guard isGuarded, let object = freed[isShared ? 1 : 0] else { return nil }
    UnwatchedMemory.invert(UnsafeMutableRawPointer(object) + offset)
    let again = isShared ? shared!.allocateIfPossible() : own!.pool.allocateIfPossible()
    served[isShared ? 1 : 0] += 1
    let faults = FaultRecorder.take()
    guard again == object, faults.count == 1, faults[0].kind == "write after free", faults[0].offset == offset else {
      return "reported as: \(faults)"
    }
    give(object, shared: isShared, destroys: false)
    return nil
  }

  // MARK: Counts

  func preallocate(_ count: Int, shared isShared: Bool) -> String? {
    guard isThere(isShared) else { return nil }
    let isPossible = isShared ? (try? shared!.preallocate(count)) != nil : (try? own!.pool.preallocate(count)) != nil
    return isPossible == (count <= capacity - live(isShared)) ? nil : "\(count) of \(capacity) with \(live(isShared)) live: \(isPossible)"
  }

  func check() -> String? {
    for isShared in [false, true] where isThere(isShared) {
      let figures = isShared ? shared!.statistics : own!.pool.statistics
      let count = live(isShared)
      let taken = served[isShared ? 1 : 0]
      if figures.liveObjects != count || figures.allocations != taken || figures.frees != taken - count || figures.capacity != capacity {
        return "\(figures), but \(count) are live of \(taken)"
      }
      if !isShared, own!.pool.capacity != capacity { return "another capacity than \(capacity)" }
      if figures.peakObjects < count || figures.peakObjects > taken { return "\(figures) after \(taken)" }
      if !(isShared ? shared!.checkInvariants() : own!.pool.checkInvariants()) { return "the pool's records do not agree" }
    }
    return held.lazy.compactMap { $0.flatMap(self.verify) }.first
  }

  private func closePools() -> String? {
    let failure = check()
    for slot in held.indices { held[slot] = nil }
    (own, shared) = (nil, nil)
    return failure
  }

  func close() -> String? {
    let failure = closePools()
    let left = FuzzTarget.blocksLeft()
    return failure ?? left
  }
}
