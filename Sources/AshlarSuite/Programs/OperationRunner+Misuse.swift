import Ashlar

// What must be reported, in these words.
extension OperationRunner {
  /// A wrong pointer or size, and what may be said of it.
  private struct Wrong {
    let pointer: UnsafeMutableRawPointer
    var size = 1
    let kinds: [String]
    /// Any of these; none where all will do.
    var states: [String] = []
    /// One of these; none where it may be any, or none.
    var levels: [Level] = []
  }

  func misuse(_ slot: Int, _ act: MisuseCase.Act, _ mistake: Mistake) -> String? {
    if let stranger = mistake.stranger {
      var failure: String?
      stranger.withPointer { pointer in
        failure = commit(act, Wrong(pointer: pointer, kinds: [stranger.kind], states: isPlain ? stranger.states : []))
      }
      return failure
    }
    if mistake == .freed { return wrongFreed(slot).flatMap { commit(act, $0) } }
    return wrongLive(slot, mistake, act).flatMap { commit(act, $0) }
  }

  private func wrongFreed(_ slot: Int) -> Wrong? {
    // An address that is live again is nobody's mistake to make here.
    guard let former = slots[slot].former, oracle.position(ofLive: former.address) == nil else { return nil }
    let pointer = UnsafeMutableRawPointer(bitPattern: former.address)!
    guard isPlain, let freshlyFreed, freshlyFreed.address == former.address else {
      return Wrong(pointer: pointer, kinds: ["double free", "invalid pointer"])
    }
    // Of a mapping that is gone only the address is kept.
    let levels = freshlyFreed.levels.filter { [.small, .medium].contains($0) }
    let states = freshlyFreed.levels.flatMap { Self.states(of: freshlyFreed, on: $0, to: thread) }
    return Wrong(pointer: pointer, kinds: ["double free"], states: states, levels: levels)
  }

  /// Where a block can be that was freed by the step before.
  private static func states(of freed: Freed, on level: Level, to thread: Int) -> [String] {
    switch level {
    case .small:
      let cache = thread == freed.thread ? "this" : "another"
      return ["already free: in \(cache) thread's cache"]
    case .medium: return ["already free: in the buddy system"]
    case .large, .huge: return ["already free: returned to the system"]
    }
  }

  private func wrongLive(_ slot: Int, _ mistake: Mistake, _ act: MisuseCase.Act) -> Wrong? {
    guard let index = position(slot) else { return nil }
    let (pointer, usable) = (oracle.live[index].pointer, subject.usableSize(oracle.live[index].pointer))
    let inside = isPlain ? ["inside a block"] : []
    switch mistake {
    case .tooLarge where act == .sizedFree:
      return Wrong(pointer: pointer, size: usable + 1, kinds: ["wrong size"], states: ["live: smaller than the size given"])
    case .secondByte where usable > 1:
      let states = isPlain ? ["misaligned: no block begins here", "inside a block"] : []
      return Wrong(pointer: pointer + 1, kinds: ["invalid pointer"], states: states)
    case .secondGranule where usable > 16: return Wrong(pointer: pointer + 16, kinds: ["invalid pointer"], states: inside)
    case .lastGranule where usable > 16:
      let granule = pointer + (usable - 1) / 16 * 16
      // Behind a header it may lie where a medium block began before: its tag stays as long as nothing else is put there.
      let mayHaveBegun = UInt(bitPattern: granule) % (1 << 20) == 0
      return Wrong(pointer: granule, kinds: mayHaveBegun ? ["invalid pointer", "double free"] : ["invalid pointer"], states: inside)
    default: return nil
    }
  }

  private func commit(_ act: MisuseCase.Act, _ wrong: Wrong) -> String? {
    let before = PoolAllocator().statistics().total
    act.perform(wrong.pointer, size: wrong.size, on: subject)
    if PoolAllocator().statistics().total != before { return "the counters changed" }
    let faults = FaultRecorder.take()
    guard faults.count == 1, let fault = faults.first else { return "\(faults.count) reports instead of one: \(faults)" }
    guard fault.operation == act.rawValue, fault.address == UInt(bitPattern: wrong.pointer), wrong.kinds.contains(fault.kind),
      wrong.states.isEmpty || wrong.states.contains(fault.state), wrong.levels.isEmpty || fault.level.map(wrong.levels.contains) == true
    else { return "reported as: \(fault)" }
    return nil
  }

  // MARK: Base and user pointers

  /// An address near a block has usable bytes if a user was given just that one, and otherwise none.
  func probe(_ slot: Int, offset: Int) -> String? {
    guard let index = position(slot) else { return nil }
    let pointer = oracle.live[index].pointer + offset
    let address = UInt(bitPattern: pointer)
    let usable = subject.usableSize(pointer)
    let faults = FaultRecorder.take()
    if let live = oracle.position(ofLive: address) {
      let isServed = faults.isEmpty && usable >= oracle.live[live].size
      return isServed ? nil : "a live block has \(usable) usable bytes: \(faults)"
    }
    guard usable == 0, faults.count == 1, faults[0].address == address, faults[0].operation == "usable size" else {
      return "\(usable) usable bytes at an address that is no block's: \(faults)"
    }
    return faults[0].kind == "wrong size" ? "reported as: \(faults[0])" : nil
  }

  // MARK: Damage

  func damage(_ slot: Int, _ harm: Harm) -> String? {
    guard slots[slot].isGuarded, let index = position(slot) else { return nil }
    let block = oracle.live[index]
    // What is larger than the quarantine leaves it at once, and what is the system's again can't be written to.
    if harm == .writeAfterFree, block.size == 0 || block.size > 1 << 20 || block.alignment > 64 << 10 { return nil }
    if harm == .writeAfterFree { release(slot, sized: false) } else { oracle.forget(index) }
    if let fault = FaultRecorder.take().first { return "reported before there was any damage: \(fault)" }
    switch harm {
    case .overflow: UnwatchedMemory.invert(block.pointer + block.size)
    case .underflow: UnwatchedMemory.invert(block.pointer - 1)
    case .writeAfterFree: UnwatchedMemory.invert(block.pointer + block.size / 2)
    }
    if harm == .writeAfterFree { PoolAllocator().trim() } else { subject.free(block.pointer) }
    if harm != .writeAfterFree { forget(slot, block) }
    let faults = FaultRecorder.take()
    guard faults.count == 1, faults[0].kind == harm.kind, faults[0].address == block.address, faults[0].blockSize == block.size else {
      return "\(faults.count) reports: \(faults)"
    }
    return nil
  }
}
