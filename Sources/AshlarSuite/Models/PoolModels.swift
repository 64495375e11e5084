import Ashlar
import ScheduleExplorer

/// Slots of 16 bytes behind their lock.
final class PoolState {
  let process = ModelProcess()
  let slots: LockedSlots<SteppingMemory>
  private let objects: UnsafeMutableRawPointer
  /// The slot that every thread knows.
  var common: UnsafeMutableRawPointer?
  var granted = 0
  var reported = 0

  init(capacity: Int) {
    guard let layout = SlotPool<SteppingMemory>.Layout(slots: capacity, size: 16, alignment: 16) else { fatalError("no layout") }
    let records = process.take(4096, "records")
    objects = process.take(4096, "objects")
    slots = LockedSlots(SlotPool(layout, records: records, objects: objects, freed: FreedBytes()))
  }

  /// A slot that the caller owns, as plain memory.
  func take() -> PlainPointer<SteppingMemory, UInt>? {
    guard let slot = slots.take({ _ in }) else { return nil }
    granted += 1
    return PlainPointer(slot)
  }

  func put(_ slot: UnsafeMutableRawPointer) {
    slots.put(slot) { _ in reported += 1 }
  }

  func requireSound(live: Int) throws {
    try require(slots.checkInvariants(), "the pool's records do not agree")
    try require(slots.counts.live == live, "\(slots.counts.live) slots are live, not \(live)")
  }
}

extension Action where State == PoolState {
  static var use: Action {
    Action("take, write, put") { state in
      guard let object = state.take() else { return }
      object[0] += 1
      state.put(object.raw)
    }
  }
  static var keep: Action {
    Action("take, write") { state in
      guard let object = state.take() else { return }
      object[0] += 1
    }
  }
  static var putCommon: Action {
    Action("put the common one") { state in
      if let common = state.common { state.put(common) }
    }
  }
}

/// An arena behind its lock, its chunks in the memory of the execution.
final class ArenaState {
  let process = ModelProcess()
  let arena: LockedArena<SteppingMemory>
  var granted: [UInt] = []

  /// Memory of the running execution, for chunks.
  private struct Chunks: BlockAllocator, @unchecked Sendable {
    let process: ModelProcess

    func allocate(
      size: Int, alignment: Int, zeroed: Bool, file: StaticString, line: UInt
    ) throws(AllocationError) -> UnsafeMutableRawPointer { process.take(size, "chunk") }
    func reallocate(
      _ block: UnsafeMutableRawPointer, size: Int, alignment: Int, file: StaticString, line: UInt
    ) throws(AllocationError) -> UnsafeMutableRawPointer { throw .invalidPointer }
    func deallocate(_ block: UnsafeMutableRawPointer?) {}
    func deallocate(_ block: UnsafeMutableRawPointer?, size: Int) {}
    func usableSize(of block: UnsafeMutableRawPointer?) -> Int { 0 }
  }

  init() throws {
    let words = process.take(4096, "words")
    arena = LockedArena(try ArenaMemory(words: words, chunkSize: 256, allocator: Chunks(process: process)))
  }
}

extension Action where State == ArenaState {
  /// Two of them need a chunk more.
  static var allocate: Action {
    Action("allocate, write") { state in
      let block = try state.arena.allocate(150, 16) { _ in }
      PlainPointer<SteppingMemory, UInt>(block)[0] = 1
      state.granted.append(UInt(bitPattern: block))
    }
  }
  static var reset: Action { Action("reset") { $0.arena.reset() } }
}

extension Model {
  static let poolModels: [Model] = [
    Model("shared-pool-reuse", "shared object pool: an object goes from owner to owner, who see what the last one wrote", threads: 3) {
      Scenario("pool") { PoolState(capacity: 3) }.with(.use).with(.use).with(.keep)
        .checking(shrinks: false) { state in
          try require(state.granted == 3 && state.reported == 0, "\(state.granted) granted, \(state.reported) reported")
          try state.requireSound(live: 1)
        }
    },
    Model("shared-pool-full", "shared object pool: of two threads one gets the last object", threads: 2) {
      Scenario("pool") { PoolState(capacity: 1) }.with(.keep).with(.keep)
        .checking(shrinks: false) { state in
          try require(state.granted == 1, "\(state.granted) of two got the only object")
          try state.requireSound(live: 1)
        }
    },
    Model("shared-pool-double-free", "shared object pool: of two threads that free one object one is reported", threads: 2) {
      Scenario("pool") {
        let state = PoolState(capacity: 2)
        state.common = state.slots.take { _ in }
        return state
      }.with(.putCommon).with(.putCommon)
        .checking(shrinks: false) { state in
          try require(state.reported == 1, "\(state.reported) of two frees were reported")
          try state.requireSound(live: 0)
        }
    },
    Model("shared-arena", "shared arena: no two threads get the same bytes, nor add a chunk in the same place", threads: 3) {
      Scenario("arena") { try ArenaState() }.with(.allocate).with(.allocate).with(.allocate)
        .checking(shrinks: false) { state in
          try require(Set(state.granted).count == 3, "two requests got the same bytes")
          try require(state.arena.counts.chunks == 3 && state.arena.checkInvariants(), "the arena's records do not agree")
        }
    },
    Model("shared-arena-reset", "shared arena: a reset between two requests of another thread", threads: 2) {
      Scenario("arena") { try ArenaState() }.with(.allocate, .allocate).with(.reset)
        .checking { state in try require(state.arena.checkInvariants(), "the arena's records do not agree") }
    },
  ]
}
