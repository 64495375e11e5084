import Ashlar
import ScheduleExplorer

extension Model {
  private static func buddy(
    units: Int = 4, queueCapacity: Int = 4, cap: Int = 1 << 40, delay: UInt = 1_000_000,
    _ begin: @escaping (LayerState) throws -> Void = { _ in }, _ threads: [Action<LayerState>]...
  ) -> Scenario<LayerState> {
    var scenario = Scenario("buddy") {
      let state = LayerState(units: units, queueCapacity: queueCapacity, cap: cap, delay: delay)
      try begin(state)
      return state
    }
    for thread in threads { scenario.thread(thread) }
    return scenario.checking { try $0.requireWholeBuddy() }
  }

  /// All memory is out but for one unit, which is listed.
  private static func listOne(_ state: LayerState) throws {
    for thread in [1, 3, 3, 3] { try state.take(thread, order: 0) }
    try state.giveBack(1)
    // Lists what lies in the hot slot.
    _ = state.buddy.checkInvariants()
  }

  static let buddyModels: [Model] = [
    Model("buddy-pop-split", "buddy: two threads split one free block", threads: 2) {
      buddy({ _ in }, [.take(1, order: 0, required: true)], [.take(2, order: 1, required: true)])
    },
    Model("buddy-free-list", "buddy: a pop against a pop and a push of the same node", threads: 2) {
      buddy({ state in
        for _ in 0..<4 { try state.take(3, order: 0) }
        for _ in 0..<3 { try state.giveBack(3) }
        state.buddy.purge(all: true)
      }, [.take(1, order: 0, required: true)], [.take(2, order: 0, required: true), .giveBack(2)])
    },
    Model("buddy-hot", "buddy: the block freed last goes to one of two threads", threads: 2) {
      buddy({ state in
        for _ in 0..<2 { try state.take(1, order: 0) }
        try state.take(2, order: 0)
      }, [.giveBack(1), .take(1, order: 0, required: true)], [.take(2, order: 0, required: true), .giveBack(2)])
    },
    Model("buddy-merge-buddies", "buddy: two halves freed at once become one block again", threads: 2) {
      buddy({ state in
        try state.take(1, order: 0)
        try state.take(2, order: 0)
      }, [.giveBack(1)], [.giveBack(2)])
    },
    Model("buddy-merge-allocate", "buddy: a merge claims what an allocation pops", threads: 2) {
      buddy({ state in
        for thread in [1, 2, 1, 2] { try state.take(thread, order: 0) }
        try state.giveBack(1)
        state.buddy.purge(all: true)
      }, [.giveBack(1), .purge(all: true)], [.take(2, order: 0, required: true)])
    },
    Model("buddy-last-resort", "buddy: memory that a merge has in its hands is found, not taken for exhausted", threads: 2) {
      buddy({ state in
        for _ in 0..<4 { try state.take(1, order: 0) }
        try state.giveBack(1)
        try state.giveBack(1)
      }, [.purge(all: true)], [.take(2, order: 0, required: true)])
    },
    Model("buddy-last-look", "buddy: a look at empty lists is not the last while another thread splits", threads: 2) {
      buddy({ state in
        for _ in 0..<2 { try state.take(3, order: 0) }
      }, [.take(1, order: 0, required: true)], [.takeLastResort(2)])
    },
    Model("buddy-purge-last-look", "buddy: memory that a purge has in its hands is found, not taken for exhausted", threads: 2, bound: 2) {
      buddy(listOne, [.purge(all: true)], [.takeLastResort(2)])
    },
    Model("buddy-merge-last-look", "buddy: a listed block that a merge claims for one queued since is found", threads: 2, bound: 4) {
      buddy({ state in
        for thread in [1, 3, 1, 3] { try state.take(thread, order: 0) }
        try state.giveBack(3)
        _ = state.buddy.checkInvariants()
      }, [.giveBack(1), .giveBack(1), .purge(all: false)], [.takeLastResort(2)])
    },
    Model("buddy-hot-last-look", "buddy: a block that comes into a hot slot before another is taken out of the next one is found", threads: 2, bound: 2) {
      buddy({ state in
        try state.take(3, order: 1)
        try state.giveBack(3)
        for thread in [1, 3] { try state.take(thread, order: 0) }
      }, [
        Action("give one unit back, then take two") { state in
          try state.giveBack(1)
          try state.take(1, order: 1)
        },
      ], [.takeLastResort(2)])
    },
    Model("buddy-displaced", "buddy: a block that a release pushes out of the hot slot is found meanwhile", threads: 2) {
      buddy({ state in
        for thread in [1, 1, 2, 3] { try state.take(thread, order: 0) }
        try state.giveBack(3)
      }, [.giveBack(1)], [.take(2, order: 0, required: true)])
    },
    Model("buddy-displaced-contents", "buddy: who gets a displaced block sees what its last owner did to it", threads: 3, bound: 1) {
      buddy({ state in for thread in [1, 2, 0, 0] { try state.take(thread, order: 0) } },
        [.giveBack(1)], [.giveBack(2)], [.take(3, order: 0), .take(3, order: 0)])
    },
    Model("buddy-hot-larger", "buddy: what was freed last is split before a listed block that is larger, and after one that is not", threads: 1) {
      buddy(units: 16, delay: 1000, { state in
        try state.take(1, order: 2)
        try state.take(2, order: 1)
        try state.giveBack(1)
        state.wait(milliseconds: 2000)
      }, [
        .take(1, order: 0), .take(1, order: 0), .take(1, order: 0),
        Action("look") { state in
          let units = state.runs[1].map(\.firstUnit)
          try require(units == [6, 7, 0], "units \(units) are taken")
          state.buddy.purge(all: false)
          try require(state.buddy.dirtyUnits == 0, "what is left of an old block is young")
        },
      ])
    },
    Model("buddy-grow", "buddy: what lies behind a block is joined to it, or goes to another thread", threads: 2) {
      buddy({ state in try state.take(1, order: 0) }, [.grow(1, to: 1), .giveBack(1)], [.take(2, order: 0, required: true), .giveBack(2)])
    },
    Model("buddy-grow-hot", "buddy: a block takes what was freed last behind it, unless its owner has it again", threads: 2) {
      buddy({ state in for thread in [1, 2, 3, 3] { try state.take(thread, order: 0) } }, [.grow(1, to: 1), .giveBack(1)],
        [.giveBack(2), .take(2, order: 0)])
    },
    Model("buddy-grow-last-look", "buddy: memory that was nearly joined to a block is found, not taken for exhausted", threads: 2) {
      buddy({ state in
        for thread in [1, 2, 3, 3] { try state.take(thread, order: 0) }
        try state.giveBack(2)
        _ = state.buddy.checkInvariants()
      }, [.grow(1, to: 2)], [.takeLastResort(2)])
    },
    Model("buddy-grow-alone", "buddy: a block grows as far as what lies behind it is free, by blocks of all kinds", threads: 1) {
      buddy(units: 8, { state in
        for thread in [1, 2, 3, 3] { try state.take(thread, order: 0) }
        for _ in 0..<2 { try state.giveBack(3) }
        try state.giveBack(2)
        try state.take(2, order: 2, required: true)
      }, [
        .grow(1, to: 3),
        Action("look") { state in
          try require(state.runs[1].last?.order == 0 && state.buddy.dirtyUnits == 3, "a block is joined to another's")
        },
        .grow(1, to: 2, required: true),
        Action("look again") { state in try require(state.buddy.dirtyUnits == 0, "what was joined to a block still counts as free") },
        .giveBack(2), .grow(1, to: 3, required: true),
      ])
    },
    Model("buddy-grow-queued", "buddy: what waits to be merged is joined to the block before it, and what was freed last elsewhere stays at hand", threads: 1) {
      buddy({ state in
        for thread in [1, 2, 3, 3] { try state.take(thread, order: 0) }
        try state.giveBack(2)
        try state.giveBack(3)
      }, [
        .grow(1, to: 1, required: true),
        Action("look") { state in
          try require(SteppingMemory.load(state.buddy.tables.hot(order: 0)) != 0, "what was freed last has left its slot")
        },
      ])
    },
    Model("buddy-grow-age", "buddy: what was nearly joined to a block is given back when it has been free for the delay, and not before", threads: 1) {
      buddy(delay: 1000, { state in for thread in [1, 2, 3, 3] { try state.take(thread, order: 0) } }, [
        Action("give the second unit back, and make the first one grow in vain") { state in
          let word = state.word(unit: 1)
          try state.giveBack(2)
          _ = state.buddy.checkInvariants()
          for (pause, isKept) in [(500, true), (500, false)] as [(UInt, Bool)] {
            state.wait(milliseconds: pause)
            try state.grow(1, to: 2, required: false)
            state.buddy.purge(all: false)
            try require((word[0] != 0) == isKept, "after \(pause) ms more of a delay of a second a unit is \(isKept ? "given back" : "kept")")
          }
        },
      ])
    },
    Model("buddy-grow-merge", "buddy: of two that merge and one that makes its block grow one is at work at a time", threads: 2, bound: 2) {
      buddy({ state in for thread in [1, 2, 3, 3] { try state.take(thread, order: 0) } },
        [.grow(1, to: 1), .giveBack(1), .purge(all: true)], [.giveBack(2), .purge(all: true)])
    },
    Model("buddy-grow-aligned", "buddy: a block grows only where one of the larger order begins", threads: 1) {
      buddy(units: 8, { state in
        for thread in [3, 1, 2, 3] { try state.take(thread, order: 1) }
        try state.giveBack(2)
        _ = state.buddy.checkInvariants()
      }, [
        .grow(1, to: 2),
        Action("look") { state in try require(state.runs[1].last?.order == 1, "a block is joined to what lies behind its pair") },
      ])
    },
    Model("buddy-split-last", "buddy: what another thread is about to split is waited for", threads: 2) {
      // Two of three units are left in one block.
      buddy({ state in try state.take(3, order: 0) }, [.take(1, order: 0, required: true)],
        [.take(2, order: 0, required: true), .take(2, order: 0, required: true)])
    },
    Model("purge-merge", "purge: what is swept is not missed by a merge of its buddy", threads: 2) {
      buddy(queueCapacity: 2, { state in
        for thread in [1, 3, 2] { try state.take(thread, order: 0) }
        try state.giveBack(1)
        // Lists what lies in the hot slot.
        _ = state.buddy.checkInvariants()
      }, [.purge(all: true)], [.giveBack(3), .giveBack(2)])
    },
    Model(
      "buddy-node-again", "buddy: a node that one thread takes off a list is put there again by another", threads: 2, bound: 2,
      memory: .loadBuffering
    ) {
      buddy(listOne, [.take(1, order: 0)], [.purge(all: true)])
    },
    Model("buddy-hidden", "buddy: a block listed while another thread finds the list empty is found", threads: 2) {
      buddy({ state in for _ in 0..<2 { try state.take(3, order: 0) } }, [.take(1, order: 0, required: true)], [.take(2, order: 0, required: true)])
    },
    Model("buddy-merged-whole", "buddy: what all came back to is one block again", threads: 2) {
      buddy({ state in for thread in [1, 2] { try state.take(thread, order: 0) } }, [.giveBack(1)], [.giveBack(2)])
        .checking { state in
          try state.requireWholeBuddy()
          try state.take(1, order: 2, required: true)
        }
    },
    Model("buddy-merge-dirty", "buddy: a clean block merged with a dirty one is dirty", threads: 1) {
      buddy({ state in for thread in [1, 2] { try state.take(thread, order: 0) } }, [
        .giveBack(1),
        Action("give back clean") { state in
          guard let block = state.runs[2].popLast() else { return }
          state.word(unit: block.firstUnit)[0] = 0
          state.buddy.release(.init(order: block.order, index: block.index, isDirty: false))
        },
        .take(3, order: 2, required: true),
      ])
    },
    Model("buddy-dirty-count", "buddy: what is dirty is counted once, however often it is taken and freed", threads: 1) {
      buddy({ _ in }, [.take(1, order: 0), .giveBack(1), .take(1, order: 0), .giveBack(1), .take(1, order: 0)])
        .checking { state in
          for thread in state.runs.indices { while !state.runs[thread].isEmpty { try state.giveBack(thread) } }
          try require(state.buddy.dirtyUnits == 1, "\(state.buddy.dirtyUnits) dirty units counted, 1 is")
          state.buddy.purge(all: true)
          try require(state.buddy.dirtyUnits == 0, "\(state.buddy.dirtyUnits) dirty units counted after all were purged")
        }
    },
    Model("buddy-exhausted", "buddy: of four units four are handed out, and no fifth", threads: 1) {
      buddy({ _ in }, [Action](repeating: .take(1, order: 0), count: 5))
        .checking(shrinks: false) { state in
          let taken = state.runs.joined().count
          try require(taken == 4, "\(taken) of 4 units are handed out")
          try state.requireSoundBuddy()
        }
    },
    Model("buddy-exhausted-twice", "buddy: of two threads that ask for the last block one is refused, and waits for nobody", threads: 2) {
      buddy({ state in for _ in 0..<3 { try state.take(3, order: 0) } }, [.take(1, order: 0)], [.take(2, order: 0)])
    },
    Model("buddy-refused", "buddy: who waited for a merge and finds too little is refused, and does not wait for who is done", threads: 2) {
      buddy(listOne, [.purge(all: true)], [.take(2, order: 1)])
    },
    Model("merge-queue-full", "merge queue: a full one is merged in place, and nothing is dropped", threads: 2) {
      buddy(queueCapacity: 2, { state in
        for thread in [2, 3, 3, 3] { try state.take(thread, order: 0) }
        // One lies in the hot slot, and two in the queue, since there is a worker: it is full.
        state.buddy.becomeWorker()
        for _ in 0..<3 { try state.giveBack(3) }
        state.buddy.resign()
      }, [.take(1, order: 1)], [.giveBack(2)])
    },
    Model("merge-worker", "merge worker: one at a time, and what is pushed while it stops is merged later", threads: 2) {
      buddy(queueCapacity: 2, { state in
        for thread in [1, 2, 3, 0] { try state.take(thread, order: 0) }
        // Into the hot slot, so that each that follows pushes one into the queue.
        try state.giveBack(3)
      }, [.giveBack(1)], [.giveBack(2)])
    },
    Model("merge-three-threads", "merge worker: three threads free, one allocates", threads: 3) {
      buddy(queueCapacity: 2, { state in for thread in [1, 2, 3] { try state.take(thread, order: 0) } },
        [.giveBack(1)], [.giveBack(2)], [.giveBack(3), .take(3, order: 0, required: true)])
    },
    Model("purge-reuse-medium", "purge: memory that was taken again keeps its contents", threads: 2) {
      buddy({ state in
        for thread in [1, 2] { try state.take(thread, order: 0) }
        try state.giveBack(1)
      }, [.purge(all: true)], [.take(2, order: 0, required: true), .giveBack(2)])
    },
    Model("purge-waits", "purge: one that is to give all back waits for who merges", threads: 2) {
      buddy(queueCapacity: 2, { state in
        for thread in [3, 0, 1, 1] { try state.take(thread, order: 0) }
        try state.giveBack(3)
        // Lists what lies in the hot slot.
        _ = state.buddy.checkInvariants()
      }, [.giveBack(1), .giveBack(1)], [
        Action("purge, look") { state in
          state.buddy.purge(all: true)
          try require(state.word(unit: 0)[0] == 0, "memory was free before, and is kept")
        },
      ])
    },
    Model("purge-hot", "purge: the block freed last of its order is given back or had again, and never both", threads: 2) {
      buddy(delay: 0, { try $0.take(1, order: 0) }, [.giveBack(1)], [.purge(all: false), .take(2, order: 0, required: true)])
    },
    Model("purge-hot-last-look", "purge: a hot block that grows old is found meanwhile, not taken for exhausted", threads: 2, bound: 3) {
      buddy(delay: 0, { state in
        for thread in [1, 3, 1, 3] { try state.take(thread, order: 0) }
        try state.giveBack(3)
        _ = state.buddy.checkInvariants()
      }, [.giveBack(1), .purge(all: false)], [.takeLastResort(2)])
    },
    Model("purge-hot-aged", "purge: the block freed last of its order is given back when it has been free for the delay", threads: 1) {
      buddy(delay: 1000, { _ in }, [
        Action("give two back, half a second apart") { state in
          for order in [1, 0] { try state.take(1, order: order) }
          let units = state.runs[1].map(\.firstUnit)
          func kept() -> [Bool] { units.map { state.word(unit: $0)[0] != 0 } }
          try state.giveBack(1)
          state.wait(milliseconds: 500)
          try state.giveBack(1)
          for (pause, expected) in [(375, [true, true]), (125, [true, false]), (375, [true, false]), (125, [false, false])] as [(UInt, [Bool])] {
            state.wait(milliseconds: pause)
            state.buddy.purge(all: false)
            try require(kept() == expected, "after \(pause) ms more of a delay of a second are kept: \(kept()), not \(expected)")
          }
          try require(state.buddy.dirtyUnits == 0, "\(state.buddy.dirtyUnits) units are dirty of which all were given back")
        },
      ])
    },
    Model("purge-hot-buddy", "purge: of two buddies free for the delay, one hot and one listed, both are given back at one look", threads: 1) {
      buddy(delay: 1000, { state in for _ in 0..<2 { try state.take(1, order: 0) } }, [
        Action("give two back, and look now and a second later") { state in
          let units = state.runs[1].map(\.firstUnit)
          for _ in units { try state.giveBack(1) }
          for pause: UInt in [0, 1000] {
            state.wait(milliseconds: pause)
            state.buddy.purge(all: false)
            let kept = units.filter { state.word(unit: $0)[0] != 0 }.count
            try require(kept == (pause == 0 ? 2 : 0), "of two units \(kept) are kept after \(pause) ms")
          }
          try require(state.buddy.dirtyUnits == 0, "\(state.buddy.dirtyUnits) units are dirty of which all were given back")
        },
      ])
    },
    Model("purge-keeps-age", "purge: what waited in the queue, was merged or is left of a split is as old as before", threads: 1) {
      buddy(delay: 1000, { state in for _ in 0..<4 { try state.take(1, order: 0) } }, [
        Action("give three back, have two of them 7/8 s later, and look at the end of the second") { state in
          // Of the first and the second, which are buddies, and are queued, one comes again: first comes the third, which is hot.
          state.runs[1].sort { $0.index > $1.index }
          for _ in 0..<3 { try state.giveBack(1) }
          state.wait(milliseconds: 875)
          state.buddy.purge(all: false)
          for _ in 0..<2 { try state.take(2, order: 0, required: true) }
          state.wait(milliseconds: 125)
          state.buddy.purge(all: false)
          try require(state.runs[2].map(\.index) == [2, 0], "\(state.runs[2]) are had again")
          try require(state.word(unit: 1)[0] == 0, "a unit is kept that has been free for the delay")
        },
      ])
    },
    Model("purge-merged-young", "purge: of two buddies that were merged the one freed last says how old both are", threads: 1) {
      buddy(delay: 1000, { state in for _ in 0..<2 { try state.take(1, order: 0) } }, [
        Action("give two back, 1/8 s apart, and look when either has been free for a second") { state in
          try state.giveBack(1)
          state.wait(milliseconds: 125)
          try state.giveBack(1)
          // One is queued and one hot: merges the hot one first.
          _ = state.buddy.checkInvariants()
          for (pause, kept) in [(875, 2), (125, 0)] as [(UInt, Int)] {
            state.wait(milliseconds: pause)
            state.buddy.purge(all: false)
            let dirty = (0..<2).filter { state.word(unit: $0)[0] != 0 }.count
            try require(dirty == kept, "of two units \(dirty) are kept after \(pause) ms more, not \(kept)")
          }
        },
      ])
    },
    // With three preemptions there are more than 300,000 executions: each thread gathers, and sweeps twice.
    Model("purge-twice", "purge: two threads at once count what is dirty once", threads: 2, bound: 2) {
      // The delay is halved until it is over: once.
      buddy(cap: 0, delay: 1, { state in for thread in [1, 2] { try state.take(thread, order: 0) } }, [.giveBack(1)], [.giveBack(2)])
    },
    Model("purge-oldest-first", "purge: over the cap the longest free goes first, wherever it lies", threads: 1) {
      var scenario = Scenario("buddy") {
        let state = LayerState(units: 8, cap: 2 << 20, delay: 8000)
        // Every other one stays taken, so that none is merged.
        for unit in 0..<8 { try state.take(unit % 2 == 0 ? 1 : 2, order: 0) }
        return state
      }
      scenario.thread([Action("give three back, 1.9 and 3.1 s apart") { state in
        state.runs[1].sort { $0.index < $1.index }
        for (number, pause) in [(2, 1875), (0, 3125), (0, 0)] as [(Int, UInt)] {
          let block = state.runs[1].remove(at: number)
          state.buddy.release(.init(order: 0, index: block.index, isDirty: true))
          // Lists what lies in the hot slot, as of now.
          _ = state.buddy.checkInvariants()
          state.wait(milliseconds: pause)
        }
      }])
      return scenario.checking(shrinks: false) { state in
        let kept = [0, 2, 4].filter { state.word(unit: $0)[0] != 0 }
        try require(kept == [0, 2], "units \(kept) are kept, not those freed last")
      }
    },
    Model("frontier", "buddy: untouched units are handed out once", threads: 2) {
      buddy(units: 8, [.take(1, order: 2, required: true)], [.take(2, order: 2, required: true)])
    },
  ]
}

extension Model {
  private static func buddy(
    units: Int = 4, _ first: [Action<LayerState>], _ second: [Action<LayerState>]
  ) -> Scenario<LayerState> {
    buddy(units: units, { _ in }, first, second)
  }
}
