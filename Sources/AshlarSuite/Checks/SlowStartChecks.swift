import Ashlar

/// What caches and global stacks may hold before it is known what they need.
extension Check {
  static let binAllowance = Check(
    "bin-allowance", "what a bin may hold: little at first, twice as much when it ran empty after it overflowed, as at first when it was idle"
  ) { context in
    for size in [64, 1024, 2048, 40 << 10, 1 << 20] {
      let made = OwnHeap.with(OwnHeap.switches(region: 64 << 20)) { heap in
        guard let cache = heap.adoptCache() else { return context.find("no cache") }
        cache.setOpen(true)
        BinAllowance(heap: heap, cache: cache, sizeClass: SizeClass(holding: size), context: context).check()
      }
      context.require(made, "no heap")
    }
  }

  static let depotAllowance = Check(
    "depot-allowance", "what a global stack may keep: little at first, twice as much when it ran out after some were turned away, less by what was idle"
  ) { context in
    for size in [64, 704, 16 << 10, 1 << 20] {
      let layers = OwnLayers(mebibytes: 8, surplusBytes: 3 << 20)
      let (depots, sizeClass) = (layers.depots, SizeClass(holding: size))
      // As many as leave a bin that overflows.
      let leaving = (max(1, min(64 << 10 / size, 2 * sizeClass.batch)) + 1) / 2
      let (first, most) = (max(32 << 10, leaving * size), depots.limit(sizeClass) + 3 << 20)
      func expect(_ bytes: Int, _ when: String) {
        let allowed = depots.allowedBytes(sizeClass)
        context.require(allowed == bytes, "\(when), class \(size) may keep \(allowed) bytes, not \(bytes)")
        let blocks = bytes / size
        context.require(depots.hasRoom(blocks, sizeClass) && !depots.hasRoom(blocks + 1, sizeClass), "\(when), class \(size) keeps other than it may")
        context.count(1)
      }
      func put() { context.require(layers.putMagazine(sizeClass), "no magazine") }
      func look() { _ = depots.drainIdle(sizeClass, since: 0, into: layers.slabs) }
      func lieIdle() {
        put()
        for _ in 0..<2 { look() }
      }
      func miss() { context.require(depots.take(sizeClass) == nil, "a magazine from nowhere") }
      expect(first, "at first")
      lieIdle()
      expect(first, "when all that it had was idle")
      miss()
      expect(first, "when it ran out and all were admitted")
      context.require(depots.admit(first / size, sizeClass), "as many as may come are turned away")
      miss()
      expect(first, "when none was turned away")
      context.require(!depots.admit(first / size + 1, sizeClass), "more than may come are admitted")
      expect(first, "when some were turned away")
      _ = depots.drain(sizeClass, into: layers.slabs)
      expect(first, "when it was emptied")
      put()
      guard let magazine = depots.take(sizeClass) else { return context.find("a magazine is lost") }
      expect(first, "when it had what was asked for")
      _ = layers.slabs.giveBack(sizeClass, magazine.count) { magazine[$0] }
      depots.discard(magazine)
      look()
      expect(first, "when nothing was idle")
      miss()
      expect(min(2 * first, most), "when those that were turned away are missed")
      miss()
      expect(min(2 * first, most), "when it ran out again")
      for _ in 0..<16 {
        _ = depots.admit(most / size + 1, sizeClass)
        miss()
      }
      expect(most, "at last")
      lieIdle()
      expect(most - sizeClass.batch * size, "when a magazine was idle")
    }
  }
}

private struct BinAllowance {
  let heap: Heap<HardwareMemory>
  let cache: ThreadCache<HardwareMemory>
  let sizeClass: SizeClass
  let context: CheckContext

  private var bin: Bin<HardwareMemory> { cache.bin(sizeClass) }
  private var first: UInt { UInt(max(1, min(64 << 10 / sizeClass.size, 2 * sizeClass.batch))) }

  private func expect(_ allowance: UInt, open: Bool = true, _ when: String) {
    let held = bin.count
    context.require(bin.allowance == allowance, "\(when), a bin of \(sizeClass.size) B may hold \(bin.allowance), not \(allowance)")
    for count in [0, allowance - 1, allowance] {
      bin.count = count
      let isFull = count == allowance
      context.require(bin.isFull == isFull && (bin.room == nil) == (isFull || !open), "\(when), a bin with \(count) of \(allowance) has room, or none")
    }
    context.require(bin.isOpen == open, "\(when), a bin is open, or is not")
    bin.count = held
    context.count(1)
  }

  private func keeps(_ count: UInt, _ when: String) {
    context.require(bin.count == count, "\(when), a bin of \(sizeClass.size) B keeps \(bin.count) blocks, not \(count)")
  }

  private func empty() {
    _ = heap.slabs.giveBack(sizeClass, Int(bin.count)) { bin[UInt($0)] }
    bin.count = 0
  }

  private func use(_ before: () -> Void = {}) {
    guard let block = heap.allocate(sizeClass.size) else { return context.find("no memory") }
    before()
    heap.free(block)
  }

  private func lieIdle() { for _ in 0..<2 { heap.sendIdleHome(cache, since: 0) } }

  /// Frees a block when the bin is full.
  private func overflow() {
    empty()
    heap.fill(bin, 1, sizeClass)
    use { heap.fill(bin, Int(bin.allowance), sizeClass) }
  }

  /// Allocates a block when the bin is empty.
  private func runEmpty() {
    empty()
    use()
  }

  func check() {
    expect(first, "at first")
    runEmpty()
    expect(first, "when it never overflowed")
    overflow()
    keeps(first / 2 + 1, "when it overflowed")
    expect(first, "when it overflowed")
    overflow()
    let most = max(first, min(UInt(sizeClass.stretch), bin.capacity))
    keeps(first - min(first, UInt(sizeClass.batch)) + 1, "when it overflowed again")
    expect(min(2 * first, most), "when it overflowed again")
    for _ in 0..<9 { overflow() }
    expect(most, "when it only ever overflowed")
    runEmpty()
    let twice = min(2 * most, bin.capacity)
    expect(twice, "when it ran empty after that")
    runEmpty()
    expect(twice, "when it ran empty and had not overflowed again")
    cache.setOpen(false)
    expect(twice, open: false, "closed")
    overflow()
    runEmpty()
    expect(min(2 * twice, bin.capacity), open: false, "when it ran empty while it was closed")
    cache.setOpen(true)
    for _ in 0..<9 {
      overflow()
      runEmpty()
    }
    expect(bin.capacity, "at last")
    overflow()
    lieIdle()
    expect(first, "when it was idle")
    runEmpty()
    expect(first, "when what overflowed was before it was idle")
    overfill()
  }

  // By a magazine that another thread has filled: what is too much leaves it at once.
  private func overfill() {
    guard sizeClass.batch > first else { return }
    lieIdle()
    heap.fill(bin, 1, sizeClass)
    use { heap.fill(bin, sizeClass.batch, sizeClass) }
    keeps(first / 2 + 1, "overfilled by a magazine")
  }
}
