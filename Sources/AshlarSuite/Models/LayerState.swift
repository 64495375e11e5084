import Ashlar
import ScheduleExplorer

/// The layers below the thread caches, each step of theirs a choice, and what the threads have of them.
final class LayerState: Layers<SteppingMemory> {
  /// What the threads have, each its own.
  var blocks: [[UInt]] = [[], [], [], []]
  var runs: [[Buddy<SteppingMemory>.Block]] = [[], [], [], []]

  private let process = ModelProcess()

  init(
    units: Int = 4, queueCapacity: Int = 4, cap: Int = 1 << 40, delay: UInt = 1_000_000, depotBytes: Int = 1 << 20,
    surplusBytes: Int = 0
  ) {
    super.init(
      units: units, queueCapacity: queueCapacity, cap: cap, delay: delay, depotBytes: depotBytes, surplusBytes: surplusBytes,
      memory: process)
    let region = region
    Explored.whenOver { region.release() }
    name(tables)
  }

  private func name(_ tables: BuddyTables) {
    Explored.name("tags", region.tags, bytes: region.bytes / 16)
    Explored.name("nonEmpty", tables.nonEmpty.address, bytes: 8)
    Explored.name("frontier", tables.frontier.address, bytes: 8)
    Explored.name("dirtyUnits", tables.dirtyUnits.address, bytes: 8)
    Explored.name("transits", tables.transits.address, bytes: 8)
    Explored.name("worker", tables.workerActive.address, bytes: 8)
    for order in 0..<BuddyTables.orders {
      Explored.name("hot \(order)", tables.hot(order: order).address, bytes: 8)
      Explored.name("list \(order)", tables.head(order: order).address, bytes: 16)
      for index in 0..<(tables.units >> order) {
        let number = tables.number(order: order, index: index)
        Explored.name("block \(order)/\(index)", tables.word(number).address, bytes: 8)
        Explored.name("link \(order)/\(index)", tables.link(number).address, bytes: 8)
      }
    }
  }

  /// Lets time pass.
  func wait(milliseconds: UInt) { process.milliseconds += milliseconds }

  // MARK: Runs of units

  /// The first word of a unit, which its owner writes plain.
  func word(unit: Int) -> PlainPointer<SteppingMemory, UInt> {
    PlainPointer(UnsafeMutableRawPointer(bitPattern: region.address(ofUnit: unit)).unsafelyUnwrapped)
  }

  func take(_ thread: Int, order: Int, required: Bool = false) throws {
    guard let block = buddy.allocate(order: order) else {
      return try require(!required, "no block of order \(order), though there is memory for it")
    }
    try own(block, thread)
  }

  func takeLastResort(_ thread: Int) throws {
    guard let block = buddy.takeLastResort(0) else { throw Failure(.violation, "there is memory for it") }
    try own(block, thread)
  }

  private func own(_ block: Buddy<SteppingMemory>.Block, _ thread: Int) throws {
    for unit in block.units {
      try require(block.isDirty || word(unit: unit)[0] == 0, "a block said to be clean is not")
      word(unit: unit)[0] = UInt(thread)
    }
    runs[thread].append(block)
  }

  func grow(_ thread: Int, to order: Int, required: Bool) throws {
    guard let block = runs[thread].last else { return }
    guard buddy.grow(block, to: order) else { return try require(!required, "nothing is joined to a block, though all behind it is free") }
    runs[thread].removeLast()
    try own(.init(order: order, index: block.index >> (order - block.order), isDirty: true), thread)
  }

  func giveBack(_ thread: Int) throws {
    guard let block = runs[thread].popLast() else { return }
    for unit in block.units { try require(word(unit: unit)[0] == UInt(thread), "a block changed under its owner's hands") }
    buddy.release(.init(order: block.order, index: block.index, isDirty: true))
  }

  /// Every unit is free or somebody's, none is both or twice, and all that is free merges to what it began as.
  func requireSoundBuddy() throws {
    try require(buddy.checkInvariants(), "the buddy system's records disagree")
    var owners = [Int](repeating: 0, count: region.unitCount)
    for run in runs.joined() { for unit in run.units { owners[unit] += 1 } }
    buddy.visitListed { order, index in for unit in (index << order)..<((index + 1) << order) { owners[unit] += 1 } }
    let frontier = Int(SteppingMemory.load(buddy.tables.frontier))
    for unit in 0..<frontier { try require(owners[unit] == 1, "unit \(unit) has \(owners[unit]) owners") }
  }

  /// Gives everything back and finds it whole.
  func requireWholeBuddy() throws {
    let nonEmpty = SteppingMemory.load(buddy.tables.nonEmpty)
    for order in 0..<BuddyTables.orders where nonEmpty >> UInt(order) & 1 == 0 {
      let top = SteppingMemory.loadPair(buddy.tables.head(order: order), .relaxed).first
      try require(top == 0, "blocks of order \(order) are listed, and nobody looks for them")
    }
    try requireEndingLists()
    for thread in runs.indices { while !runs[thread].isEmpty { try giveBack(thread) } }
    try requireSoundBuddy()
    var free = 0
    buddy.visitListed { order, _ in free += 1 << order }
    let frontier = Int(SteppingMemory.load(buddy.tables.frontier))
    try require(free == frontier, "\(free) of \(frontier) units are free after all came back")
  }

  /// A node that is put on a list while it is on one leads back to itself, and whoever empties the list has no end.
  private func requireEndingLists() throws {
    for order in 0..<BuddyTables.orders {
      var node = SteppingMemory.loadPair(buddy.tables.head(order: order), .relaxed).first
      var left = buddy.tables.units
      while node != 0, left > 0 {
        node = SteppingMemory.load(buddy.tables.link(Int(node) - 1))
        left -= 1
      }
      try require(node == 0, "the list of order \(order) has no end")
    }
  }

  // MARK: Small blocks

  func word(_ block: UInt) -> PlainPointer<SteppingMemory, UInt> {
    PlainPointer(UnsafeMutableRawPointer(bitPattern: block).unsafelyUnwrapped)
  }

  func takeBlocks(_ thread: Int, _ sizeClass: SizeClass, _ count: Int) throws {
    var taken: [UInt] = []
    _ = slabs.take(sizeClass, count) { taken.append(region.block(taggedAt: $0).address) }
    for block in taken { word(block)[0] = UInt(thread) }
    blocks[thread] += taken
  }

  func giveBlocksBack(_ thread: Int, _ sizeClass: SizeClass, _ count: Int) throws {
    let leaving = Array(blocks[thread].suffix(count))
    blocks[thread].removeLast(leaving.count)
    for block in leaving { try require(word(block)[0] == UInt(thread), "a block changed under its owner's hands") }
    let twice = slabs.giveBack(sizeClass, leaving.count) { tag(leaving[$0]) }
    try require(twice == nil, "a block that was taken once is said to be freed twice")
  }

  func requireSoundSlabs(_ sizeClass: SizeClass) throws {
    let all = Array(blocks.joined())
    try require(Set(all).count == all.count, "a block has two owners")
    try require(slabs.takenCount(sizeClass) == all.count, "\(slabs.takenCount(sizeClass)) blocks counted, \(all.count) taken")
    try require(slabs.checkInvariants() && pool.checkInvariants(), "the slabs' records disagree")
  }
}

extension Action where State == LayerState {
  static func take(_ thread: Int, order: Int, required: Bool = false) -> Action {
    Action("take order \(order)") { try $0.take(thread, order: order, required: required) }
  }
  static func takeLastResort(_ thread: Int) -> Action {
    Action("take order 0, as a last resort") { try $0.takeLastResort(thread) }
  }
  static func grow(_ thread: Int, to order: Int, required: Bool = false) -> Action {
    Action("grow to order \(order)") { try $0.grow(thread, to: order, required: required) }
  }
  static func giveBack(_ thread: Int) -> Action { Action("give back") { try $0.giveBack(thread) } }
  static func giveOneBackTwice(_ thread: Int, _ sizeClass: SizeClass) -> Action {
    Action("give one back twice") { state in
      let block = state.blocks[thread].removeLast()
      for round in 0..<2 {
        let twice = state.slabs.giveBack(sizeClass, 1) { _ in state.tag(block) }
        try require(twice == (round == 0 ? nil : state.tag(block)), "a block is told to be home before it is, or not after")
      }
    }
  }
  static func purge(all: Bool) -> Action { Action("purge") { $0.buddy.purge(all: all) } }
}
