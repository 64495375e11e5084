/// Which blocks are guarded, and how.
///
/// Two forms, each for one block in so many (0 for none, 1 for all): *canary* puts a header before the block and a
/// canary behind it, on any level; *page* puts a small block at the end of a page before an inaccessible one. Both may be
/// on at once. May be changed at any time by any thread.
package struct GuardPolicy<Memory: SharedMemory> {
  // Words: canary interval, page interval, millisecond of the last page sample, page samples ever taken.
  private let state: UnsafeMutableRawPointer

  package static var bytes: Int { CacheLine.bytes }

  /// `state` is `bytes` long and zero.
  package init(state: UnsafeMutableRawPointer) { self.state = state }

  private func word(_ index: Int) -> SharedWord { SharedWord(state + index * 8) }

  package var canaryInterval: UInt {
    get { Memory.load(word(0)) }
    nonmutating set { Memory.store(newValue, to: word(0)) }
  }
  package var pageInterval: UInt {
    get { Memory.load(word(1)) }
    nonmutating set { Memory.store(newValue, to: word(1)) }
  }

  /// Page samples ever taken.
  package var pageSamples: Int { Int(bitPattern: Memory.load(word(3))) }

  /// One block in how many is guarded in either form; 0 when none is.
  package var interval: UInt {
    let (canary, page) = (canaryInterval, pageInterval)
    if canary == 0 || page == 0 { return canary &+ page }
    if canary == 1 || page == 1 { return 1 }
    return canary &* page / (canary &+ page)
  }

  /// The form for a block whose turn it is.
  package func form(_ random: UInt) -> GuardForm? {
    let (canary, page) = (canaryInterval, pageInterval)
    if page == 0 { return canary == 0 ? nil : .canary }
    if canary == 0 { return .page }
    return random % (canary &+ page) < canary ? .page : .canary
  }

  /// Whether a page sample may be taken now: one in each tick of the clock, a few milliseconds. Each costs two system
  /// calls and a page fault; so spaced they cost a thousandth of the time, however often a program allocates. With an
  /// interval of 1 every block is wanted, whatever it costs.
  package func admitPage() -> Bool {
    guard pageInterval > 1 else { return true }
    let now = Memory.milliseconds
    let last = Memory.load(word(2))
    return now != last && Memory.compareExchange(word(2), expected: last, desired: now, .relaxed) == last
  }

  package func countPage() { Memory.add(1, to: word(3), .relaxed) }
}

/// How one block is guarded.
package enum GuardForm { case canary, page }
