import Ashlar
import ScheduleExplorer

/// Blocks of 128 KiB: eight to a slab, one to a magazine.
private let large = SizeClass(holding: 128 << 10)
/// Blocks of 1 MiB: a slab each.
private let largest = SizeClass(holding: 1 << 20)

extension Action where State == LayerState {
  fileprivate static func takeBlocks(_ thread: Int, _ count: Int, _ sizeClass: SizeClass = large) -> Action {
    Action("take \(count) of class \(sizeClass.index)") { try $0.takeBlocks(thread, sizeClass, count) }
  }
  fileprivate static func giveBlocksBack(_ thread: Int, _ count: Int, _ sizeClass: SizeClass = large) -> Action {
    Action("give \(count) back") { try $0.giveBlocksBack(thread, sizeClass, count) }
  }
  fileprivate static var purgePool: Action { Action("purge the pool") { $0.pool.purge(all: true) } }
  /// What a cache does that is full.
  fileprivate static func put(_ thread: Int) -> Action {
    Action("put a full magazine") { state in
      guard let magazine = state.depots.takeEmpty() else { return }
      let block = state.blocks[thread].removeLast()
      try require(magazine.count == 0, "an empty magazine holds \(magazine.count) blocks")
      magazine.hold(1) { _ in state.tag(block) }
      state.depots.put(magazine, large)
    }
  }
  /// What a cache does that is empty.
  fileprivate static func refill(_ thread: Int) -> Action {
    Action("take a full magazine") { state in
      guard let magazine = state.depots.take(large) else { return }
      let taken = (0..<magazine.count).map { state.region.block(taggedAt: magazine[$0]).address }
      try require(taken.count == 1, "a full magazine holds \(taken.count) blocks")
      for block in taken { state.word(block)[0] = UInt(thread) }
      state.blocks[thread] += taken
      state.depots.discard(magazine)
    }
  }
  fileprivate static var drain: Action {
    Action("drain the depot") { state in
      try require(state.depots.drain(large, into: state.slabs) == nil, "a block in a depot is said to be freed twice")
    }
  }
  /// What happens to a cache that overflows when the stack has all that it may.
  fileprivate static var turnAway: Action {
    Action("turn blocks away") { try require(!$0.depots.admit(100, large), "all blocks are admitted that come") }
  }
  fileprivate static var drainIdle: Action {
    Action("send home what nobody needed") { state in
      try require(state.depots.drainIdle(large, since: 0, into: state.slabs) == nil, "a block in a depot is said to be freed twice")
    }
  }
}

extension Model {
  private static func layers(
    depotBytes: Int = 1 << 20, cap: Int = 1 << 40, _ begin: @escaping (LayerState) throws -> Void, _ threads: [Action<LayerState>]...
  ) -> Scenario<LayerState> {
    var scenario = Scenario("layers") {
      let state = LayerState(cap: cap, depotBytes: depotBytes)
      try begin(state)
      return state
    }
    for thread in threads { scenario.thread(thread) }
    return scenario.checking { state in
      let inDepot = state.depots.blockCount(large)
      try require(state.depots.drain(large, into: state.slabs) == nil, "a block in a depot is said to be freed twice")
      try require(state.depots.blockCount(large) == 0, "\(inDepot) blocks counted in the depot, \(state.depots.blockCount(large)) too many")
      try require(state.depots.surplusBytes == 0, "\(state.depots.surplusBytes) bytes too many counted above the limit")
      try state.requireSoundSlabs(large)
      try requireSoundAllowance(state)
    }
  }

  // Two threads that change it at once may leave what either of them made of it, and nothing else.
  private static func requireSoundAllowance(_ state: LayerState) throws {
    let depots = state.depots
    func require(_ blocks: ClosedRange<Int>, _ when: String) throws {
      let (allowed, most) = (depots.allowedBytes(large), depots.limit(large))
      let bounds = min(blocks.lowerBound * large.size, most)...min(blocks.upperBound * large.size, most)
      try ScheduleExplorer.require(bounds.contains(allowed) && allowed % large.size == 0, "a class may keep \(allowed) bytes \(when)")
    }
    try require(1...4, "at the end")
    let twice = 2 * depots.allowedBytes(large) / large.size
    _ = depots.admit(100, large)
    _ = depots.take(large)
    try require(twice...twice, "when those that were turned away are missed")
  }

  static let slabModels: [Model] = [
    Model("slab-take-give", "slabs: one thread takes what another gives back", threads: 2) {
      layers({ try $0.takeBlocks(1, large, 2) }, [.giveBlocksBack(1, 1), .takeBlocks(1, 1)], [.takeBlocks(2, 1), .giveBlocksBack(2, 1)])
    },
    Model("slab-retire", "slabs: the last block comes home while another is taken", threads: 2) {
      layers({ try $0.takeBlocks(1, large, 1) }, [.giveBlocksBack(1, 1)], [.takeBlocks(2, 2)])
    },
    Model("slab-home-twice", "slabs: a block that comes home twice is told, and counted once", threads: 1) {
      layers({ try $0.takeBlocks(1, large, 3) }, [
        .giveOneBackTwice(1, large),
        .takeBlocks(1, 7),
      ])
    },
    Model("slab-pool-classes", "slabs: two classes draw from one pool", threads: 2) {
      layers({ try $0.takeBlocks(1, large, 1) }, [.giveBlocksBack(1, 1)], [.takeBlocks(2, 1, largest), .giveBlocksBack(2, 1, largest)])
    },
    Model("purge-reuse-small", "purge: pages that were taken again keep their contents", threads: 2) {
      layers({ state in
        try state.takeBlocks(1, large, 1)
        try state.takeBlocks(1, SizeClass(holding: 64 << 10), 1)
        try state.giveBlocksBack(1, SizeClass(holding: 64 << 10), 1)
      }, [.purgePool], [.takeBlocks(2, 1, SizeClass(holding: 64 << 10)), .giveBlocksBack(2, 1, SizeClass(holding: 64 << 10))])
    },
    Model("pool-over-cap", "pool: more pages are dirty than may be, none for long: a sweep gives them back and ends", threads: 1) {
      let size = SizeClass(holding: 64 << 10)
      return layers(cap: 0, { state in
        // Four slabs in two units; one of each unit goes home.
        for count in [8, 8, 8, 1] { try state.takeBlocks(1, size, count) }
      }, [
        Action("give two slabs back") { state in
          try state.giveBlocksBack(1, size, 1)
          let second = Array(state.blocks[1][8..<16])
          state.blocks[1].removeSubrange(8..<16)
          try require(state.slabs.giveBack(size, 8) { state.tag(second[$0]) } == nil, "a block that was taken once is said to be freed twice")
        },
      ])
      .checking(shrinks: false) { try require($0.slabs.checkInvariants() && $0.pool.checkInvariants(), "the slabs' records disagree") }
    },
    Model("pool-oldest-first", "pool: over the cap the pages that are free longest go first, wherever they lie", threads: 1) {
      var scenario = Scenario("layers") { LayerState(units: 4, cap: 1 << 20, delay: 8000) }
      scenario.thread([Action("take three units, give 15, 15 and 2 pages back, 1.9 and 3.1 s apart") { state in
        let pages = (0..<48).compactMap { _ in state.pool.take(order: 0) }.sorted { $0.page < $1.page }
        for page in pages { state.word(state.region.address(ofPage: page.page))[0] = 1 }
        // The last page of each unit stays, and keeps it.
        for (first, count, pause) in [(16, 15, 1875), (0, 15, 3125), (32, 2, 0)] as [(Int, Int, UInt)] {
          for page in pages[first..<(first + count)] { state.pool.giveBack(page, order: 0) }
          state.wait(milliseconds: pause)
        }
        let kept = [0, 16, 32].filter { state.word(state.region.address(ofPage: pages[$0].page))[0] != 0 }
        try require(kept == [0, 32], "pages of \(kept) are kept, not those freed last")
      }])
      return scenario.checking(shrinks: false) { try require($0.pool.checkInvariants(), "the pool's records disagree") }
    },
    Model("pool-keeps-age", "pool: pages that were of no use for long when they came go at the next look, with younger ones they wait", threads: 1) {
      var scenario = Scenario("layers") { LayerState(units: 4, delay: 1000) }
      scenario.thread([Action("give a page back, two, the rest, and a unit at once; take one of it") { state in
        state.wait(milliseconds: 1000)
        let (now, old) = (SteppingMemory.milliseconds / 125, SteppingMemory.milliseconds / 125 - 8)
        let pages = (0..<32).compactMap { _ in state.pool.take(order: 0) }.sorted { $0.page < $1.page }
        func word(_ page: Int) -> PlainPointer<SteppingMemory, UInt> { state.word(state.region.address(ofPage: pages[page].page)) }
        for page in pages.indices { word(page)[0] = 1 }
        func comes(_ coming: Range<Int>, since: UInt, _ what: String, kept: Bool) throws {
          for page in coming { state.pool.giveBack(pages[page], order: 0, since: since) }
          state.pool.purge(all: false)
          state.buddy.purge(all: false)
          for page in coming { try require((word(page)[0] != 0) == kept, "\(what) is \(kept ? "not kept" : "kept")") }
        }
        try comes(0..<1, since: old, "a page of no use for the delay", kept: false)
        try comes(1..<2, since: now, "one that has just come", kept: true)
        try comes(2..<3, since: old, "one of no use for the delay, beside a young one,", kept: true)
        try comes(3..<16, since: old, "a unit that is free altogether, beside whose pages a young one came,", kept: true)
        try comes(16..<32, since: old, "a unit of no use for the delay", kept: false)
        // The first unit comes again, of which one page is taken: the others have just come, too.
        try require(state.pool.take(order: 0)?.page == pages[0].page, "another unit is taken than the one freed last that holds memory")
        state.pool.purge(all: false)
        try require(word(5)[0] != 0, "a page of a unit that was just taken again is not kept")
      }])
      return scenario.checking(shrinks: false) { try require($0.pool.checkInvariants(), "the pool's records disagree") }
    },
    Model("metadata", "metadata: two threads get memory of their own", threads: 2) {
      var scenario = Scenario("metadata") { LayerState() }
      for thread in [1, 2] {
        scenario.thread(Action("take 64 B") { state in
          guard let memory = state.metadata.take(64) else { return }
          let word = PlainPointer<SteppingMemory, UInt>(memory)
          try require(word[0] == 0, "metadata is not zero")
          word[0] = UInt(thread)
          state.blocks[thread].append(UInt(bitPattern: memory))
        })
      }
      return scenario.checking { state in try require(Set(state.blocks.joined()).count == 2, "one memory for two") }
    },
  ]

  static let depotModels: [Model] = [
    Model("magazine-exchange", "depot: magazines change hands whole, with what is in them", threads: 2) {
      layers({ state in
        try state.takeBlocks(1, large, 2)
        state.depots.discard(try emptyMagazine(state))
      }, [.put(1), .put(1)], [.refill(2), .refill(2)])
    },
    Model("magazine-empty", "depot: an empty magazine is reused while another is made", threads: 2) {
      layers({ state in
        try state.takeBlocks(1, large, 1)
        try state.takeBlocks(2, large, 1)
        state.depots.discard(try emptyMagazine(state))
      }, [.put(1)], [.put(2), .refill(2)])
    },
    Model("refill-drain", "depot: one thread refills while another sends everything home", threads: 2) {
      layers({ state in
        try state.takeBlocks(1, large, 2)
        for _ in 0..<2 { try putOne(state) }
      }, [.refill(1)], [.drain])
    },
    Model("depot-surplus", "depot: what lies above a class's limit is counted once, whoever puts and takes", threads: 2) {
      // Two blocks are the limit, and one is there.
      layers(depotBytes: 0, { state in
        try state.takeBlocks(1, large, 2)
        try state.takeBlocks(2, large, 1)
        try putOne(state)
      }, [.put(1), .refill(1)], [.put(2), .refill(2)])
    },
    Model("depot-turned-away", "depot: two threads miss blocks that they were not allowed to put", threads: 2) {
      layers({ _ in }, [.turnAway, .refill(1)], [.turnAway, .refill(2)])
    },
    Model("depot-idle", "depot: one thread misses blocks while another sends home what nobody needed", threads: 2) {
      layers({ state in
        try state.takeBlocks(1, large, 1)
        try putOne(state)
        // Looked at, and idle from now on.
        _ = state.depots.drainIdle(large, since: 0, into: state.slabs)
      }, [.turnAway, .refill(1), .refill(1)], [.drainIdle])
    },
    Model("refill-drain-put", "depot: a third thread puts meanwhile", threads: 3) {
      layers({ state in
        try state.takeBlocks(1, large, 1)
        try state.takeBlocks(3, large, 1)
        try putOne(state)
        for _ in 0..<2 { state.depots.discard(try emptyMagazine(state)) }
      }, [.refill(1)], [.drain], [.put(3)])
    },
  ]

  private static func putOne(_ state: LayerState) throws {
    let magazine = try emptyMagazine(state)
    let block = state.blocks[1].removeLast()
    magazine.hold(1) { _ in state.tag(block) }
    state.depots.put(magazine, large)
  }

  private static func emptyMagazine(_ state: LayerState) throws -> Magazine<SteppingMemory> {
    // New, however many lie about: so that there is one for each call.
    guard let memory = state.metadata.take(Magazine<SteppingMemory>.bytes) else { throw Failure(.violation, "no memory") }
    return Magazine(UInt(bitPattern: memory))
  }
}
