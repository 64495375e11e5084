import Ashlar

// Arenas, one for a thread and one that is shared: no two allocations overlap, and the same requests get the same addresses.
extension FuzzTarget {
  private enum Request: Int, CaseIterable {
    case open, take, count, reset, release, write, check, element, refuse

    var verb: Grammar.Verb {
      let shared = Grammar.Parameter.flag("shared")
      return switch self {
      case .open: Grammar.Verb("open", .bits("chunk", 16), .number("blocks", below: 8), .flag("guarded"))
      case .take: Grammar.Verb("take", .bits("size", 22), .power("alignment", exponents: 14), shared)
      case .count: Grammar.Verb("count", .bits("count", 64), shared)
      case .reset: Grammar.Verb("reset", shared)
      case .release: Grammar.Verb("release", shared)
      case .write: Grammar.Verb("write-freed", .bits("offset", 12), shared)
      case .check: Grammar.Verb("check")
      case .element: Grammar.Verb("element", shared)
      case .refuse: Grammar.Verb("refuse", shared)
      }
    }
  }

  static let arenas = FuzzTarget(
    "arenas", "arenas, shared and not, guarded and not: contents, the same addresses after a reset, and chunks that are refused",
    Grammar(Request.allCases.map(\.verb), weights: ["take": 8, "reset": 2]),
    begin: { ArenaRunner() },
    perform: { runner, step in
      switch Request(rawValue: step.verb)! {
      case .open: runner.open(chunk: step[0], blocks: step[1], guarded: step[2] != 0)
      case .take: runner.take(step[0], alignment: 1 << step[1], shared: step[2] != 0)
      case .count: runner.takeElements(step[0], shared: step[1] != 0)
      case .reset: runner.reset(shared: step[0] != 0)
      case .release: runner.release(shared: step[0] != 0)
      case .write: runner.writeFreed(step[0], shared: step[1] != 0)
      case .check: runner.check()
      case .element: runner.takeElement(shared: step[0] != 0)
      case .refuse: runner.refuse(shared: step[0] != 0)
      }
    }, close: { $0.close() })
}

private final class ArenaRunner {
  /// The arena of one thread; a class, to be held beside the other.
  private final class Own {
    let arena: Arena
    init(_ chunk: Int, _ allocator: any BlockAllocator) throws { arena = try Arena(chunkSize: chunk, allocator: allocator) }
  }

  private struct Taken {
    let start: UInt
    let size: Int
    let alignment: Int
    let seed: UInt64
    var pointer: UnsafeMutableRawPointer { UnsafeMutableRawPointer(bitPattern: start)! }
    // Of large ones the beginning: touching pages takes longer than all the rest.
    var written: Range<Int> { 0..<min(size, 4096) }
  }

  /// What is known of an arena.
  private struct Known {
    var taken: [Taken] = []
    /// What was taken before the last reset, as long as the same requests follow.
    var former: [Taken] = []
    /// Nothing was written into the former ones' memory since.
    var isUntouched = false
  }

  private var own: Own?
  private var shared: SharedArena?
  private var known = [Known(), Known()]
  private var isRationed = false
  private var isGuarded = false
  private var budget = 0
  private var made: UInt64 = 0

  /// New arenas that have so many chunks together; 0 for any number.
  func open(chunk: Int, blocks: Int, guarded: Bool) -> String? {
    if let failure = closeArenas() { return failure }
    PoolAllocator.guards = .init(canaries: guarded ? 1 : 0)
    let allocator: any BlockAllocator = blocks == 0 ? PoolAllocator() : RationedAllocator(blocks: blocks)
    own = try? Own(chunk, allocator)
    shared = try? SharedArena(chunkSize: chunk, allocator: allocator)
    PoolAllocator.guards = .init()
    (isRationed, isGuarded) = (blocks != 0, guarded)
    return own != nil && shared != nil ? nil : "no arena"
  }

  private func isThere(_ isShared: Bool) -> Bool { isShared ? shared != nil : own != nil }

  func take(_ size: Int, alignment: Int, shared isShared: Bool) -> String? {
    // What is guarded is filled when it is taken back.
    budget += size
    guard isThere(isShared), budget <= 8 << 20 else { return nil }
    let block = isShared ? try? shared!.allocate(size: size, alignment: alignment) : try? own!.arena.allocate(size: size, alignment: alignment)
    guard let block else { return isRationed ? nil : "\(size) bytes are refused" }
    return note(block, size, alignment, isShared)
  }

  /// So many elements of 24 bytes: few, or more than there are addresses. What lies between, the system may grant.
  func takeElements(_ count: Int, shared isShared: Bool) -> String? {
    typealias Element = (Int, Int, Int)
    let isValid = count >= 0 && count <= 1 << 16
    if isValid { budget += 24 * count }
    guard isValid || count < 0 || count >= 1 << 43, isThere(isShared), budget <= 8 << 20 else { return nil }
    let elements = isShared ? try? shared!.allocate(Element.self, count: count) : try? own!.arena.allocate(Element.self, count: count)
    guard let elements else { return isRationed || !isValid ? nil : "\(count) elements are refused" }
    if !isValid { return "memory for \(count) elements" }
    return note(UnsafeMutableRawPointer(elements.baseAddress!), 24 * count, 8, isShared)
  }

  func takeElement(shared isShared: Bool) -> String? {
    typealias Element = (Int, Int, Int)
    budget += 24
    guard isThere(isShared), budget <= 8 << 20 else { return nil }
    let element = isShared ? try? shared!.allocate(Element.self) : try? own!.arena.allocate(Element.self)
    guard let element else { return isRationed ? nil : "an element is refused" }
    return note(UnsafeMutableRawPointer(element), 24, 8, isShared)
  }

  /// What is no arena and what is no request is refused, each with the right error.
  func refuse(shared isShared: Bool) -> String? {
    func error(_ body: () throws(AllocationError) -> Void) -> AllocationError? {
      do throws(AllocationError) { try body() } catch { return error }
      return nil
    }
    let arena = error { () throws(AllocationError) in
      if isShared { _ = try SharedArena(chunkSize: -1) } else { _ = try Arena(chunkSize: -1) }
    }
    if arena != .invalidSize { return "an arena with chunks of -1 byte: \(arena as Any)" }
    guard isThere(isShared) else { return nil }
    let block = error { () throws(AllocationError) in
      _ = isShared ? try shared!.allocate(size: 1, alignment: 3) : try own!.arena.allocate(size: 1, alignment: 3)
    }
    return block == .invalidAlignment(3) ? nil : "an alignment of 3: \(block as Any)"
  }

  private func note(_ block: UnsafeMutableRawPointer, _ size: Int, _ alignment: Int, _ isShared: Bool) -> String? {
    let index = isShared ? 1 : 0
    made += 1
    let new = Taken(start: UInt(bitPattern: block), size: size, alignment: alignment, seed: made)
    if new.start % UInt(alignment) != 0 { return "\(size) bytes aligned to \(alignment) lie at \(hex(new.start))" }
    let (start, end) = (new.start, new.start + UInt(max(size, 1)))
    for other in known[0].taken + known[1].taken where other.start < end && start < other.start + UInt(max(other.size, 1)) {
      return "\(size) bytes at \(hex(start)) overlap \(other.size) at \(hex(other.start))"
    }
    let former = known[index].former
    let position = known[index].taken.count
    if position < former.count {
      if former[position].size == size, former[position].alignment == alignment {
        if former[position].start != new.start { return "the same requests get another address" }
      } else {
        known[index].former = []
      }
    }
    Pattern.fill(block, new.written, seed: new.seed)
    known[index].isUntouched = false
    known[index].taken.append(new)
    return nil
  }

  private func verify(_ index: Int) -> String? {
    for taken in known[index].taken where Pattern.firstDifference(taken.pointer, taken.written, seed: taken.seed) != nil {
      return "\(taken.size) bytes at \(hex(taken.start)) have changed"
    }
    return nil
  }

  func reset(shared isShared: Bool) -> String? {
    guard isThere(isShared) else { return nil }
    let index = isShared ? 1 : 0
    if let failure = verify(index) { return failure }
    let before = isShared ? shared!.statistics : own!.arena.statistics
    if isShared { shared!.reset() } else { own!.arena.reset() }
    let after = isShared ? shared!.statistics : own!.arena.statistics
    known[index].former = known[index].taken
    known[index].isUntouched = true
    known[index].taken = []
    return after.usedBytes == 0 && after.reservedBytes == before.reservedBytes ? nil : "a reset leaves \(after) of \(before)"
  }

  func release(shared isShared: Bool) -> String? {
    guard isThere(isShared) else { return nil }
    let index = isShared ? 1 : 0
    if let failure = verify(index) { return failure }
    if isShared { shared!.release() } else { own!.arena.release() }
    known[index] = Known()
    let after = isShared ? shared!.statistics : own!.arena.statistics
    return after.reservedBytes == 0 ? nil : "\(after) after a release"
  }

  /// A byte of the first allocation before the reset is changed: who gets it again hears of it where the arena is guarded.
  func writeFreed(_ offset: Int, shared isShared: Bool) -> String? {
    let index = isShared ? 1 : 0
    guard isGuarded, isThere(isShared), known[index].isUntouched, let first = known[index].former.first, offset < first.size,
      budget + first.size <= 8 << 20
    else { return nil }
    UnwatchedMemory.invert(first.pointer + offset)
    let failure = take(first.size, alignment: first.alignment, shared: isShared)
    let faults = FaultRecorder.take()
    if let failure { return failure }
    guard faults.count == 1, faults[0].kind == "write after free", faults[0].offset == offset else { return "reported as: \(faults)" }
    return nil
  }

  func check() -> String? {
    for isShared in [false, true] where isThere(isShared) {
      if let failure = verify(isShared ? 1 : 0) { return failure }
      let figures = isShared ? shared!.statistics : own!.arena.statistics
      let asked = known[isShared ? 1 : 0].taken.reduce(0) { $0 + $1.size }
      if figures.usedBytes < asked || figures.usedBytes > figures.reservedBytes { return "\(figures) for \(asked) bytes" }
      if !(isShared ? shared!.checkInvariants() : own!.arena.checkInvariants()) { return "the arena's records do not agree" }
    }
    return nil
  }

  private func closeArenas() -> String? {
    let failure = check()
    known = [Known(), Known()]
    (own, shared) = (nil, nil)
    return failure
  }

  func close() -> String? {
    let failure = closeArenas()
    let left = FuzzTarget.blocksLeft()
    return failure ?? left
  }
}
