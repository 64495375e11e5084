import Ashlar
import ScheduleExplorer

/// Something that is started by the first call.
final class StartState {
  let process = ModelProcess()
  let start: LazyStart<SteppingMemory>
  let words: PlainPointer<SteppingMemory, UInt>
  var starts = 0
  var finishes = 0
  /// Starts that fail.
  var failing: Int

  init(failing: Int = 0) {
    let memory = process.take(4096)
    Explored.name("phase", memory, bytes: 8)
    Explored.name("started", memory + 64, bytes: 8)
    start = LazyStart(phase: SharedWord(memory))
    words = PlainPointer(memory + 64)
    self.failing = failing
  }

  func call(in process: UInt = 7) throws -> Bool {
    let isReady = start.isReady || start.ensure(
      in: process,
      start: {
        starts += 1
        if starts <= failing { return false }
        words[0] = 42
        return true
      }, finish: { finishes += 1 })
    if isReady { try require(words[0] == 42, "started, but nothing is there") }
    return isReady
  }
}

extension Action where State == StartState {
  static var call: Action { Action("first call") { _ = try $0.call() } }
}

/// A table of mappings under a lock, and the mappings themselves.
final class DirectState {
  let process = ModelProcess()
  let direct: DirectMappings<SteppingMemory>
  var bases: [BlockBase] = []
  var released = 0

  init(blocks: Int) {
    direct = DirectMappings(state: process.take(DirectMappings<SteppingMemory>.bytes, "direct"), hugePages: false)
    for _ in 0..<blocks { add() }
  }

  func add() {
    if let (base, _) = direct.allocate(size: 4096, alignment: 1) { bases.append(base) }
  }
}

/// A hash table that grows, under a lock as everywhere.
final class TableState {
  let process = ModelProcess()
  let lock: Lock<SteppingMemory>
  let table: AddressTable<SteppingMemory, UInt>

  init(records: Int) {
    let memory = process.take(4096)
    lock = Lock(SharedWord(memory))
    table = AddressTable(state: PlainPointer(memory + 64))
    for record in 0..<records { insert(UInt(record + 1) * 64) }
  }

  func insert(_ key: UInt) { if table.makeRoom() { table.insert(key, key + 1) } }
}

extension Model {
  static let lifeModels: [Model] = [
    Model("lazy-start", "start: two first calls start once, and both see what was started", threads: 2) {
      Scenario("start") { StartState() }.with(.call, .call).with(.call)
        .checking(shrinks: false) { try require($0.starts == 1 && $0.finishes == 1, "\($0.starts) starts") }
    },
    Model("lazy-start-three", "start: three first calls", threads: 3) {
      Scenario("start") { StartState() }.with(.call).with(.call).with(.call)
        .checking(shrinks: false) { try require($0.starts == 1 && $0.finishes == 1, "\($0.starts) starts") }
    },
    Model("lazy-start-fails", "start: one that fails is tried again", threads: 2) {
      Scenario("start") { StartState(failing: 1) }.with(.call).with(.call)
        .checking(shrinks: false) { state in
          try require(try state.call() && state.starts == 2 + (state.finishes - 1), "\(state.starts) starts")
        }
    },
    Model("lazy-start-fork", "start: the child of a fork in the middle of one begins anew", threads: 2) {
      var scenario = Scenario("start") { StartState() }
        .with(.call)
        .with(Action("fork, call") { state in
          Explored.endOtherThreads()
          try require(try state.call(in: 8), "not started")
        })
      scenario.reduces = false
      return scenario
    },
    Model("large-insert-lookup", "mappings: one is listed while another is looked up", threads: 2) {
      Scenario("direct") { DirectState(blocks: 1) }
        .with(Action("allocate") { $0.add() })
        .with(Action("look up") { state in
          try require(state.direct.block(at: state.bases[0])?.size == 4096, "a listed block is not found")
        })
        .checking(shrinks: false) { try require($0.direct.checkInvariants() && $0.direct.counts(huge: false).liveBlocks == 2, "the table is wrong") }
    },
    Model("large-free-twice", "mappings: of two threads that free one, one does", threads: 2) {
      var scenario = Scenario("direct") { DirectState(blocks: 2) }
      for _ in 0..<2 { scenario.thread(Action("free") { state in if state.direct.release(state.bases[0]) { state.released += 1 } }) }
      return scenario.checking(shrinks: false) { state in
        try require(state.released == 1 && state.direct.checkInvariants(), "released \(state.released) times")
      }
    },
    Model("table-growth", "table: it grows while another thread looks up", threads: 2) {
      Scenario("table") { TableState(records: 128) }
        .with(Action("insert") { state in state.lock.withLock { state.insert(1 << 20) } })
        .with(Action("look up") { state in
          let found = state.lock.withLock { state.table[64] }
          try require(found == 65, "a record is lost")
        })
        .checking(shrinks: false) { try require($0.table.checkInvariants() && $0.table.count == 129, "the table is wrong") }
    },
    Model("fork-small", "fork: with a thread in the slabs, the child allocates and frees", threads: 2, bound: 2) { fork(64 << 10) },
    Model("fork-medium", "fork: with a thread in the buddy system, the child allocates and frees", threads: 2, bound: 2) { fork(1 << 21) },
    Model("fork-pool", "fork: with a thread that purges the pool, the child allocates and frees", threads: 2, bound: 2) {
      childGoesOn([Action("purge the pool") { $0.heap.pool.purge(all: true) }], child: [.take(2, 64 << 10), .giveBack(2)])
    },
    Model("fork-exhausted", "fork: with a thread in the buddy system, the child asks for more than there is, and is refused", threads: 2, bound: 1) {
      childGoesOn([.take(1, 2 << 20)], child: [.take(2, 4 << 20)])
    },
    Model("fork-queue", "fork: with a thread in the merge queue, the child finds what it queues itself", threads: 2, bound: 1) {
      childGoesOn(region: 16 << 20, begin: { state in
        for (thread, count) in [(2, 3), (1, 2), (3, 3)] {
          try state.acting(as: 2) { for _ in 0..<count { try state.take(thread, 2 << 20) } }
        }
      }, [.giveBack(1), .giveBack(1)], child: [.giveBack(2), .giveBack(2), .mustTake(2, 2 << 20), .mustTake(2, 2 << 20), .take(2, 1 << 20)])
    },
    Model("fork-merge", "fork: with a thread that merges and purges, the child finds all that is free", threads: 2, bound: 1) {
      childGoesOn(begin: { state in
        try state.acting(as: 2) {
          for _ in 0..<2 { try state.take(2, 2 << 20) }
          for _ in 0..<2 { try state.giveBack(2) }
        }
      }, [Action("purge") { $0.heap.buddy.purge(all: true) }], child: [.mustTake(2, 4 << 20)])
    },
    Model("fork-large", "fork: with a thread in the mappings, the child allocates and frees", threads: 2, bound: 2) { fork(513 << 20) },
    Model("fork-tracked", "fork: with a thread in the tracker", threads: 2, bound: 2) {
      fork(2 << 20) { $0.heap.setTracking(true) }
    },
    Model("fork-guarded", "fork: with a thread in the guarded blocks", threads: 2, bound: 2) {
      fork(2 << 20) { $0.heap.setGuards(canaries: 1, pages: 0) }
    },
    Model("fork-caches", "fork: the child keeps its thread's cache, and gives nobody those of threads that it does not have", threads: 2, bound: 1) {
      var scenario = Scenario("heap") { () -> HeapState in
        let state = HeapState(threads: 2)
        for _ in 0..<3 { try state.acting(as: 1) { try state.take(1) } }
        return state
      }
      scenario.thread([.giveBack(1), .giveBack(1), .giveBack(1)])
      scenario.thread(Action("fork, adopt") { state in
        state.enter()
        let own = ThreadCache<SteppingMemory>.current
        var before: [UnsafeMutableRawPointer] = []
        state.heap.registry.visit { cache in
          before.append(cache.address)
          return true
        }
        state.heap.beforeFork()
        Explored.endOtherThreads()
        state.heap.afterFork(inChild: true)
        try require(SteppingMemory.load(own.owned) == 1, "the child has lost its own cache")
        guard let cache = state.heap.registry.adopt(capacity: { _ in 2 }) else { return }
        try require(!before.contains(cache.address), "the cache of a thread that is no more is given to another")
      })
      scenario.reduces = false
      return scenario
    },
    Model("fork-parent", "fork: the parent's threads go on", threads: 2) {
      heap(begin: { state in try state.acting(as: 1) { try state.take(1) } },
        [.giveBack(1), .take(1)],
        [Action("fork") { state in
          state.enter()
          state.heap.beforeFork()
          state.heap.afterFork(inChild: false)
        }])
    },
  ]

  /// What a thread does, and what another does in the child that it forks meanwhile.
  private static func childGoesOn(
    region: Int = 4 << 20, begin: @escaping (HeapState) throws -> Void = { _ in }, _ actions: [Action<HeapState>],
    child: [Action<HeapState>]
  ) -> Scenario<HeapState> {
    var scenario = Scenario("heap") { () -> HeapState in
      let state = HeapState(threads: 2) {
        $0.cachePercent = 0
        $0.region = region
      }
      try begin(state)
      return state
    }
    scenario.thread(actions)
    scenario.thread([.forkHere] + child)
    scenario.reduces = false
    scenario.shrinks = false
    return scenario.checking { state in
      let live = Array(state.blocks[2] + state.blocks[3])
      try require(Set(live).count == live.count, "a block has two owners")
      while !state.blocks[2].isEmpty { try state.giveBack(2) }
    }
  }

  private static func fork(_ size: Int, _ begin: @escaping (HeapState) -> Void = { _ in }) -> Scenario<HeapState> {
    var scenario = Scenario("heap") { () -> HeapState in
      let state = HeapState(threads: 2) { $0.cachePercent = 0 }
      begin(state)
      for _ in 0..<2 { try state.acting(as: 1) { try state.take(1, size) } }
      return state
    }
    scenario.thread([.giveBack(1), .take(1, size)])
    scenario.thread([
      .forkHere, .take(2, size), .giveBack(2),
    ])
    scenario.reduces = false
    return scenario.checking { state in
      // Takes the tracker's lock; the rest takes all others.
      _ = state.heap.tracker.count
      try require(state.heap.checkInvariants(), "the heap's records disagree in the child")
    }
  }

  /// All models, from the lowest layer up.
  public static let all: [Model] =
    lockModels + stackModels + queueModels + buddyModels + slabModels + loanModels + lentModels + depotModels + heapModels + lifeModels + poolModels
}

extension Action where State == HeapState {
  /// Goes on as the child.
  fileprivate static var forkHere: Action {
    Action("fork") { state in
      state.enter()
      state.heap.beforeFork()
      Explored.endOtherThreads()
      state.heap.afterFork(inChild: true)
    }
  }
}
