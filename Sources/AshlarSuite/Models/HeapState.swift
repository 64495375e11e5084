import Ashlar
import CAshlar
import ScheduleExplorer

/// A whole heap, with a cache for each thread, used as a program uses it: the hot path first.
final class HeapState {
  let process = ModelProcess()
  private let meeting: UnsafeMutableRawPointer
  private(set) var caches: [UnsafeMutableRawPointer] = []
  /// What is freed more than once.
  var victims: [UnsafeMutableRawPointer] = []
  /// What the threads have, each its own.
  var blocks: [[UnsafeMutableRawPointer]] = [[], [], [], []]

  var heap: Heap<SteppingMemory> { Heap<SteppingMemory>.ready }

  /// A size with two blocks to a thread's cache and one to a magazine, on the level of the slabs.
  static let size = 128 << 10
  static var sizeClass: SizeClass { SizeClass(holding: size) }

  init(threads: Int, _ change: (inout Switches) -> Void = { _ in }) {
    var switches = Switches()
    switches.region = 4 << 20
    switches.delay = 1_000_000_000
    switches.quarantine = 0
    switches.hugePages = false
    change(&switches)
    guard Heap<SteppingMemory>.start(switches) else { fatalError("no memory for a model") }
    meeting = process.take(4096, "meeting")
    let region = heap.region
    Explored.whenOver { region.release() }
    if switches.guardInterval > 0 { heap.setGuards(canaries: switches.guardInterval, pages: 0) } else { heap.updateRoutes() }
    for _ in 0..<threads { caches.append(adopt()) }
    Explored.name("tags", heap.region.tags, bytes: heap.region.bytes / 16)
    for (index, cache) in caches.enumerated() { Explored.name("cache of \(index + 1)", cache, bytes: ThreadCache<SteppingMemory>.bytes) }
    // Empty magazines, so that none has to be made while threads run.
    for _ in 0..<4 {
      guard let memory = heap.metadata.take(Magazine<SteppingMemory>.bytes) else { fatalError("no memory for a model") }
      heap.depots.discard(Magazine(UInt(bitPattern: memory)))
    }
    for _ in 0..<2 { allowMore() }
    _ = FaultRecorder.take()
  }

  // Blocks were turned away, and are missed: the caches and the depot hold as many as those of a process that has been busy.
  private func allowMore() {
    for cache in caches {
      let bin = ThreadCache<SteppingMemory>(cache).bin(Self.sizeClass)
      _ = bin.noteOverflow(Self.sizeClass)
      bin.noteEmpty()
    }
    _ = heap.depots.admit(.max / Self.size / 2, Self.sizeClass)
    _ = heap.depots.take(Self.sizeClass)
  }

  // Laying a cache out takes hundreds of stores, which are no business of the threads.
  private func adopt() -> UnsafeMutableRawPointer {
    SteppingMemory.cache = ashlar_no_cache()
    guard let cache = heap.cacheOfThread() else { fatalError("no memory for a model") }
    SteppingMemory.cache = ashlar_no_cache()
    return cache.address
  }

  /// Gives the running thread its cache.
  func enter() {
    let thread = Explored.thread
    if thread > 0, SteppingMemory.cache == ashlar_no_cache(), !SteppingMemory.hasExited { SteppingMemory.cache = caches[thread - 1] }
  }

  /// In set-up: acts for a thread.
  func acting(as thread: Int, _ body: () throws -> Void) rethrows {
    SteppingMemory.cache = caches[thread - 1]
    try body()
    SteppingMemory.cache = ashlar_no_cache()
  }

  // MARK: What the C interface does

  func allocate(_ size: Int = HeapState.size) -> UnsafeMutableRawPointer? {
    enter()
    let request = Request(size: size)
    func slow() -> UnsafeMutableRawPointer? { heap.allocate(request, site: .unknown)?.raw }
    func live(_ tag: TagAddress) -> UnsafeMutableRawPointer? {
      heap.restore(live: tag)
      return slow()
    }
    return HotPath<SteppingMemory>.allocate(
      UInt(size), larger: { HotPath<SteppingMemory>.allocateLarger(UInt(size), otherwise: slow, live: live) },
      otherwise: slow, live: live)
  }

  func free(_ block: UnsafeMutableRawPointer) {
    enter()
    HotPath<SteppingMemory>.free(block) { HotPath<SteppingMemory>.freeByTag(block) { heap.free(UserPointer(block)) } }
  }

  func reallocate(_ block: UnsafeMutableRawPointer, _ size: Int) -> UnsafeMutableRawPointer? {
    enter()
    return heap.reallocate(block, size)
  }

  /// Thread exit.
  func leave() {
    enter()
    heap.detach(ThreadCache<SteppingMemory>.current)
  }

  /// Waits for the other of two threads, and orders nothing else.
  func meet(_ thread: Int) {
    func word(_ thread: Int) -> SharedWord { SharedWord(meeting + 64 * thread) }
    SteppingMemory.store(1, to: word(thread))
    while SteppingMemory.load(word(3 - thread)) == 0 { SteppingMemory.pause() }
  }

  // A word that orders nothing.
  func tell(_ value: UInt) { SteppingMemory.store(value, to: SharedWord(meeting)) }
  var told: UInt { SteppingMemory.load(SharedWord(meeting)) }

  // MARK: Blocks with an owner

  func take(_ thread: Int, _ size: Int = HeapState.size) throws {
    guard let block = allocate(size) else { return }
    PlainPointer<SteppingMemory, UInt>(block)[0] = UInt(thread)
    blocks[thread].append(block)
  }

  func giveBack(_ thread: Int) throws {
    guard let block = blocks[thread].popLast() else { return }
    try require(PlainPointer<SteppingMemory, UInt>(block)[0] == UInt(thread), "a block changed under its owner's hands")
    free(block)
  }

  /// No block has two owners, nothing was reported, and when all is given back nothing is live.
  func requireSound(faults expected: [String] = []) throws {
    let live = Array(blocks.joined())
    try require(Set(live).count == live.count, "a block has two owners")
    let faults = FaultRecorder.take()
    try require(faults.map(\.kind) == expected, "\(faults.count) faults: \(faults.map(\.description))")
    let counted = heap.statistics().total.liveBlocks
    try require(counted == live.count, "\(counted) blocks counted as live, \(live.count) are")
    try require(heap.checkInvariants(), "the heap's records disagree")
  }
}

extension Action where State == HeapState {
  static func take(_ thread: Int, _ size: Int = HeapState.size) -> Action { Action("allocate") { try $0.take(thread, size) } }
  static func giveBack(_ thread: Int) -> Action { Action("free") { try $0.giveBack(thread) } }
  static func mustTake(_ thread: Int, _ size: Int) -> Action {
    Action("allocate") { state in
      let before = state.blocks[thread].count
      try state.take(thread, size)
      try require(state.blocks[thread].count == before + 1, "no block of \(size) bytes, though there is memory for it")
    }
  }
  static func shrink(_ thread: Int, _ size: Int) -> Action {
    Action("shrink") { state in
      guard let block = state.blocks[thread].last else { return }
      try require(state.reallocate(block, size) == block, "a block that shrinks has moved, or is refused")
    }
  }
  static var withoutCache: Action {
    Action("look for a cache") { _ in try require(SteppingMemory.cache == ashlar_no_cache(), "a thread that has exited has a cache") }
  }
  static var leave: Action { Action("exit") { $0.leave() } }
}
