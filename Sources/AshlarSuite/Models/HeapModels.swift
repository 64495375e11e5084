import Ashlar
import CAshlar
import ScheduleExplorer

extension Model {
  static func heap(
    switches change: @escaping (inout Switches) -> Void = { _ in }, begin: @escaping (HeapState) throws -> Void,
    _ actions: [Action<HeapState>]...
  ) -> Scenario<HeapState> {
    var scenario = Scenario("heap") {
      let state = HeapState(threads: actions.count, change)
      try begin(state)
      return state
    }
    for thread in actions { scenario.thread(thread) }
    return scenario.checking { try $0.requireSound() }
  }

  /// Fills each thread's cache and hands, acting for it.
  private static func blocks(_ counts: [Int], free: [Int] = []) -> (HeapState) throws -> Void {
    { state in
      for (index, count) in counts.enumerated() {
        try state.acting(as: index + 1) {
          for _ in 0..<(count + (index < free.count ? free[index] : 0)) { try state.take(index + 1) }
          for _ in 0..<(index < free.count ? free[index] : 0) { try state.giveBack(index + 1) }
        }
      }
    }
  }

  static let heapModels: [Model] = [
    Model("cache-alone", "caches: two threads allocate and free, each from its own", threads: 2) {
      heap(begin: blocks([0, 0], free: [1, 1]), [.take(1), .giveBack(1)], [.take(2), .giveBack(2)])
    },
    Model("flush-free-elsewhere", "caches: one is flushed while another thread frees and refills", threads: 2) {
      heap(begin: blocks([3, 1]), [.giveBack(1), .giveBack(1), .giveBack(1)], [.giveBack(2), .take(2), .take(2)])
    },
    Model("flush-flush", "caches: two are flushed at once", threads: 2) {
      heap(begin: blocks([1, 1], free: [2, 2]), [.giveBack(1)], [.giveBack(2)])
    },
    Model("free-elsewhere", "caches: a block is freed by another thread than the one that allocated it", threads: 2) {
      heap(
        begin: { state in
          try blocks([1, 1], free: [2, 2])(state)
          state.blocks.swapAt(1, 2)
          for thread in [1, 2] { for block in state.blocks[thread] { PlainPointer<SteppingMemory, UInt>(block)[0] = UInt(thread) } }
        }, [.giveBack(1), .take(1)], [.giveBack(2), .take(2)])
    },
    Model("exit-flush", "caches: a thread exits while another flushes and refills", threads: 2) {
      heap(begin: blocks([0, 3], free: [2, 0]), [.leave], [.giveBack(2), .giveBack(2), .giveBack(2), .take(2)])
    },
    Model("exit-late-free", "caches: a thread that has exited still frees and allocates", threads: 2) {
      heap(
        begin: blocks([1, 1], free: [1, 2]), [.leave, .giveBack(1), .take(1), .withoutCache], [.giveBack(2), .take(2), .take(2), .take(2)])
    },
    Model("adopt", "caches: an abandoned one goes to one of two new threads", threads: 3) {
      var scenario = Scenario("heap") { () -> HeapState in
        let state = HeapState(threads: 3)
        state.acting(as: 1) { state.heap.detach(ThreadCache<SteppingMemory>.current) }
        SteppingMemory.hasExited = false
        return state
      }
      scenario.shrinks = false
      for _ in [1, 2] {
        scenario.thread(Action("adopt") { state in
          guard let cache = state.heap.registry.adopt(capacity: { _ in 2 }) else { return }
          state.blocks[0].append(cache.address)
          SteppingMemory.cache = cache.address
        })
      }
      scenario.thread(Action("exit") { $0.leave() })
      return scenario.checking { try require(Set($0.blocks[0]).count == 2, "one cache for two threads") }
    },
    Model("adopt-visit", "caches: a new one is laid out before others see it", threads: 2) {
      var scenario = Scenario("heap") { HeapState(threads: 2) }
      scenario.thread(Action("adopt") { state in _ = state.heap.registry.adopt(capacity: { _ in 2 }) })
      scenario.thread(Action("look at every cache") { state in
        state.heap.registry.visit { cache in cache.bin(HeapState.sizeClass).count == 0 }
      })
      return scenario
    },
    Model("adopt-flushed", "caches: an abandoned one is empty for who adopts it", threads: 2) {
      var scenario = Scenario("heap") { () -> HeapState in
        let state = HeapState(threads: 2)
        try blocks([0, 0], free: [1, 0])(state)
        return state
      }
      scenario.thread(.leave)
      scenario.thread(Action("adopt, allocate") { state in
        SteppingMemory.cache = state.heap.registry.adopt(capacity: { _ in 2 })?.address ?? ashlar_no_cache()
        try state.take(2)
      })
      return scenario.checking { try $0.requireSound() }
    },
    Model("adopt-walk", "caches: a walk over all of them while one is added sees the others", threads: 2) {
      var scenario = Scenario("heap") { HeapState(threads: 2) }
      scenario.shrinks = false
      scenario.thread(Action("adopt") { state in _ = state.heap.registry.adopt(capacity: { _ in 2 }) })
      scenario.thread(Action("walk") { state in
        var seen = 0
        state.heap.registry.visit { _ in
          seen += 1
          return seen < 9
        }
        try require((2...3).contains(seen), "\(seen) caches seen")
      })
      return scenario
    },
    Model("reclaim", "reclaim: units that a thread's cache and the depots hold are found for a medium block", threads: 1) {
      heap(begin: blocks([0], free: [2]), [.mustTake(1, 4 << 20)])
    },
    Model("reclaim-small", "reclaim: units that other classes hold are found for a slab", threads: 1) {
      heap(
        begin: { state in
          try blocks([0], free: [2])(state)
          try state.acting(as: 1) { try state.take(1, 2 << 20) }
        }, [.mustTake(1, 1 << 20), .mustTake(1, 1 << 20)])
    },
    Model("double-free-fast", "double free: two threads free one block at once, and it is reported before all is freed", threads: 2) {
      var scenario = doubleFree { _ in }
      scenario.check = { state in
        // Two owners of one block may both go on until one of them frees it: the other's free is reported then.
        for thread in [1, 2] { for block in state.blocks[thread] { state.acting(as: thread) { state.free(block) } } }
        // And nobody has it when all is home.
        for thread in [1, 2] { state.acting(as: thread) { state.heap.trim() } }
        let live = state.heap.statistics().total.liveBlocks
        try require(live == 0, "\(live) blocks are live that nobody has")
        try require(!FaultRecorder.take().isEmpty, "a double free went unreported")
      }
      return scenario
    },
    Model("double-free-guarded", "double free: guarded, one of two threads frees, the other is reported", threads: 2) {
      var scenario = doubleFree { $0.guardInterval = 1 }
      scenario.check = { state in
        let faults = FaultRecorder.take()
        try require(faults.count == 1, "\(faults.count) faults")
        let live = Array(state.blocks.joined())
        try require(Set(live).count == live.count, "a block was handed out twice")
      }
      return scenario
    },
    Model("double-free-slow", "double free: off the hot path, one of two threads frees, the other is reported", threads: 2) {
      slowDoubleFree(HeapState.size)
    },
    Model("double-free-medium", "double free: of a medium block", threads: 2) { slowDoubleFree(2 << 20) },
    Model("double-free-grown", "double free: of a medium block that another thread makes grow", threads: 2) { resizedAndFreed(8 << 20) },
    Model("double-free-shrunk", "double free: of a medium block that another thread makes shrink", threads: 2) { resizedAndFreed(2 << 20) },
    Model("shrink-medium", "resizing: a medium block shrinks where it is while another thread takes what it loses", threads: 2) {
      heap(
        begin: { state in try state.acting(as: 1) { try state.take(1, 4 << 20) } },
        [.shrink(1, 2 << 20), .giveBack(1)], [.take(2, 2 << 20), .giveBack(2)])
    },
    Model("double-free-large", "double free: of a mapping", threads: 2) { slowDoubleFree(513 << 20) },
    Model("late-free", "slabs: a block is freed again when its slab has gone back, while the pool hands that out", threads: 2) {
      Scenario("heap") { () -> HeapState in
        let state = HeapState(threads: 2) { $0.cachePercent = 0 }
        try blocks([2, 0])(state)
        return state
      }
      .with(.giveBack(1), .giveBack(1), Action("free again") { state in
        guard let block = UnsafeMutableRawPointer(bitPattern: state.heap.region.base) else { return }
        state.free(block)
      })
      .with(.take(2, 64 << 10), .giveBack(2))
      .checking { state in
        let faults = FaultRecorder.take()
        // The block may be the other thread's by then: that free is then one that nobody can tell from a right one.
        try require(faults.count <= 2, "\(faults.count) faults")
        try require(state.heap.slabs.checkInvariants() && state.heap.pool.checkInvariants(), "the slabs' records disagree")
      }
    },
    Model("counters", "counters: two threads count, and no count is lost", threads: 2) {
      heap(begin: blocks([1, 1]), [.take(1, 2 << 20), .giveBack(1)], [.take(2, 1 << 20), .giveBack(2)])
    },
    Model("statistics", "statistics: read while another thread allocates and frees", threads: 2) {
      heap(
        begin: blocks([2, 0]),
        [.giveBack(1), .take(1)],
        [Action("statistics") { state in
          let figures = state.heap.statistics(of: HeapState.sizeClass)
          try require((1...3).contains(figures.liveBlocks), "\(figures.liveBlocks) blocks live")
        }])
    },
    Model("tracker", "tracker: on and off while another thread allocates and frees", threads: 2) {
      heap(
        begin: blocks([1, 0], free: [1, 0]),
        [.giveBack(1), .take(1)],
        [Action("track") { $0.heap.setTracking(true) }, Action("stop") { $0.heap.setTracking(false) }])
    },
    Model("tracker-new-cache", "tracker: a cache that is adopted meanwhile is routed past the hot path too", threads: 2) {
      var scenario = Scenario("heap") { HeapState(threads: 2) }
      scenario.thread(.take(1))
      scenario.thread(Action("track") { $0.heap.setTracking(true) })
      return scenario.checking { state in
        state.acting(as: 1) {
          let before = state.heap.tracker.count
          let block = state.allocate()
          state.blocks[1].append(block!)
          let after = state.heap.tracker.count
          if after != before + 1 { state.process.faults.append("not recorded") }
        }
        try require(state.process.faults.isEmpty, "a call after the tracker was switched on went unrecorded")
      }
    },
    Model("guard-pages-open", "guard pages: an address is asked about while they are reserved", threads: 2) {
      var scenario = Scenario("pages") { HeapState(threads: 2) }
      scenario.thread(Action("open") { state in
        try require(state.heap.pages.open(), "refused")
        if let user = state.heap.pages.allocate(size: 16, alignment: 16, canary: state.heap.canary, site: .unknown) {
          state.tell(user.address)
        }
      })
      scenario.thread(Action("ask about the next slot") { state in
        let told = state.told
        guard told != 0, let fault = state.heap.pages.fault(accessing: told &+ 2 * UInt(System.pageBytes)) else { return }
        try require(fault.kind == .invalidPointer, "a slot that was never used is said to be a block")
      })
      return scenario
    },
    Model("tracker-forgets", "tracker: switched on while a block is allocated and freed, it knows no freed block", threads: 2) {
      Scenario("heap") { HeapState(threads: 2) }
        .with(.take(1), .giveBack(1))
        .with(Action("track") { $0.heap.setTracking(true) })
        .checking { state in
          let live = state.blocks.joined().count
          try require(state.heap.tracker.count <= live, "\(state.heap.tracker.count) blocks known, \(live) live")
        }
    },
    Model("tracker-stops", "tracker: switched off while a block is allocated, it knows no block", threads: 2) {
      Scenario("heap") { () -> HeapState in
        let state = HeapState(threads: 2)
        state.heap.setTracking(true)
        return state
      }
      .with(.take(1))
      .with(Action("stop") { $0.heap.setTracking(false) })
      .checking { state in try require(state.heap.tracker.count == 0, "\(state.heap.tracker.count) blocks known after the end") }
    },
    Model("cache-unwatched", "caches: a thread whose end nobody would see does without one, and leaves it to others", threads: 1) {
      Scenario("heap") { HeapState(threads: 1) }
        .with(Action("allocate and free unwatched") { state in
          state.process.watchesExits = false
          let block = state.heap.allocate(Request(size: 64), site: .unknown)
          try require(block != nil && SteppingMemory.cache == ashlar_no_cache(), "no block, or a cache that nobody will empty")
          var owned: UInt = 0
          state.heap.registry.visit { cache in
            owned += SteppingMemory.load(cache.owned)
            return true
          }
          try require(owned == 1, "\(owned) caches are owned by one thread")
          state.heap.free(block!)
        })
        .checking { try $0.requireSound() }
    },
    Model("allowance-closed", "caches: a bin is closed while its owner changes what it may hold", threads: 2) { allowance(open: false) },
    Model("allowance-opened", "caches: a bin is opened while its owner changes what it may hold", threads: 2) { allowance(open: true) },
    Model("idle-age", "caches and depots: what went home as it was idle is as old as the look before", threads: 1) {
      Scenario("heap") { HeapState(threads: 1) { $0.delay = 1000 } }
        .with(Action("free two blocks and three larger ones, and look at once, after a quarter of a second, and after a second") { state in
          // A bin holds two, and the third one is in the stack. Each class has a unit, and nothing else of it was taken.
          var all: [PlainPointer<SteppingMemory, UInt>] = []
          for (size, count) in [(HeapState.size, 2), (2 * HeapState.size, 3)] {
            for _ in 0..<count { try state.take(1, size) }
            all += state.blocks[1].map(PlainPointer.init)
            for _ in 0..<count { try state.giveBack(1) }
          }
          let bin = ThreadCache<SteppingMemory>.current.bin(SizeClass(holding: 64))
          for (pause, kept) in [(0, true), (250, true), (500, true), (250, false)] as [(UInt, Bool)] {
            state.process.milliseconds += pause
            bin.arm(turn: 1)
            try state.take(1, 64)
            try state.giveBack(1)
            try require(all.allSatisfy { ($0[0] != 0) == kept }, "after \(pause) ms more of a delay of a second not all are \(kept ? "kept" : "given back")")
          }
        })
        .checking { try $0.requireSound() }
    },
    Model("quarantine", "guarded blocks: two threads free, and push each other's blocks out of quarantine", threads: 2) {
      heap(switches: { $0.guardInterval = 1 }, begin: { state in
        for thread in [1, 2] { try state.acting(as: thread) { try state.take(thread, 64) } }
      }, [.giveBack(1)], [.giveBack(2)])
    },
  ]

  private static func allowance(open: Bool) -> Scenario<HeapState> {
    func bin(_ state: HeapState) -> Bin<SteppingMemory> { ThreadCache<SteppingMemory>(state.caches[0]).bin(HeapState.sizeClass) }
    var scenario = Scenario("heap") { () -> HeapState in
      let state = HeapState(threads: 1)
      bin(state).setOpen(!open)
      return state
    }
    scenario.shrinks = false
    scenario.thread(Action("allow one block, then two") { state in
      bin(state).resetAllowance(HeapState.sizeClass)
      _ = bin(state).noteOverflow(HeapState.sizeClass)
      bin(state).noteEmpty()
    })
    scenario.thread(Action(open ? "open" : "close") { bin($0).setOpen(open) })
    return scenario.checking { state in
      try require(bin(state).isOpen == open, "the bin is not \(open ? "open" : "closed")")
      for count in 0...UInt(2) {
        bin(state).count = count
        try require((bin(state).room != nil) == (open && count < 2), "a bin of two that holds \(count) has room, or none")
        try require(bin(state).isFull == (count == 2), "a bin of two that holds \(count) is full, or not")
      }
    }
  }

  private static func doubleFree(_ change: @escaping (inout Switches) -> Void) -> Scenario<HeapState> {
    var scenario = Scenario("heap") { () -> HeapState in
      let state = HeapState(threads: 2, change)
      try state.acting(as: 1) { try state.take(1) }
      state.victims = state.blocks[1]
      state.blocks[1] = []
      return state
    }
    scenario.shrinks = false
    for thread in [1, 2] {
      scenario.thread([
        // Whoever frees when the other has allocated again frees a live block, and nobody can tell.
        Action("free the block, meet") { state in
          state.free(state.victims[0])
          state.meet(thread)
        },
        Action("allocate") { state in if let block = state.allocate() { state.blocks[thread].append(block) } },
      ])
    }
    return scenario
  }

  private static func resizedAndFreed(_ size: Int) -> Scenario<HeapState> {
    var scenario = Scenario("heap") { () -> HeapState in
      let state = HeapState(threads: 2) { ($0.region, $0.cachePercent) = (16 << 20, 0) }
      try state.acting(as: 1) { try state.take(1, 4 << 20) }
      state.victims = state.blocks[1]
      state.blocks[1] = []
      return state
    }
    scenario.shrinks = false
    scenario.thread(Action("resize the block") { state in
      if let resized = state.reallocate(state.victims[0], size) { state.blocks[1].append(resized) }
    })
    scenario.thread(Action("free the block") { state in state.free(state.victims[0]) })
    return scenario.checking { state in
      // What was freed after it had shrunk where it is was freed once.
      let faults = FaultRecorder.take().map(\.kind)
      if faults.isEmpty, state.blocks[1] == state.victims { state.blocks[1] = [] } else {
        try require(faults == ["double free"], "faults: \(faults)")
      }
      try state.requireSound()
    }
  }

  private static func slowDoubleFree(_ size: Int) -> Scenario<HeapState> {
    var scenario = Scenario("heap") { () -> HeapState in
      let state = HeapState(threads: 2) { $0.cachePercent = 0 }
      try state.acting(as: 1) { try state.take(1, size) }
      state.victims = state.blocks[1]
      state.blocks[1] = []
      return state
    }
    scenario.shrinks = false
    for _ in [1, 2] { scenario.thread(Action("free the block") { state in state.free(state.victims[0]) }) }
    return scenario.checking { try $0.requireSound(faults: ["double free"]) }
  }
}
