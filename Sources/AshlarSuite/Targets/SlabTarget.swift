import Ashlar

// Slabs, magazines and depots against a model that counts every block.
extension FuzzTarget {
  private enum Request: Int, CaseIterable {
    case take, giveBack, load, unload, drain, purge, check, drainIdle

    var verb: Grammar.Verb {
      let sizeClass = Grammar.Parameter.number("class", below: SizeClass.count)
      // Not what a bin takes at most: another limit would read every entry of the corpus as another one.
      let count = Grammar.Parameter.number("count", below: 65)
      return switch self {
      case .take: Grammar.Verb("take", sizeClass, count)
      case .giveBack: Grammar.Verb("give-back", sizeClass, count, .flag("oldest"))
      case .load: Grammar.Verb("load-magazine", sizeClass, count)
      case .unload: Grammar.Verb("unload-magazine", sizeClass)
      case .drain: Grammar.Verb("drain", sizeClass)
      case .purge: Grammar.Verb("purge", .flag("all"))
      case .check: Grammar.Verb("check")
      case .drainIdle: Grammar.Verb("drain-idle", sizeClass)
      }
    }
  }

  static let slabs = FuzzTarget(
    "slabs", "slabs, magazines and depots against a count of every block of every class",
    Grammar(Request.allCases.map(\.verb), weights: ["take": 5, "give-back": 4, "load-magazine": 3, "unload-magazine": 2]),
    begin: { SlabModel() },
    perform: { model, step in
      let sizeClass = SizeClass(index: step[0])
      return switch Request(rawValue: step.verb)! {
      case .take: model.take(sizeClass, step[1])
      case .giveBack: model.giveBack(sizeClass, step[1], oldest: step[2] != 0)
      case .load: model.load(sizeClass, step[1])
      case .unload: model.unload(sizeClass)
      case .drain: model.drain(sizeClass)
      case .purge: model.purge(all: step[0] != 0)
      case .check: model.check()
      case .drainIdle: model.drainIdle(sizeClass)
      }
    }, close: { $0.close() })
}

private final class SlabModel {
  // Touching pages takes longer than all the rest.
  private static let units = 8
  private static let (depotBytes, surplusBytes) = (4 << 10, 64 << 10)
  private let layers: OwnLayers
  // Those of the last program, where all came home: of new ones each page that a program touches is a page fault.
  private nonisolated(unsafe) static var spare: OwnLayers?
  /// Blocks of each class that are out, in the order in which they were had, and those in magazines, last in first out.
  private var held = [Int: [UInt]]()
  private var stacked = [Int: [[UInt]]]()
  /// The fewest blocks in magazines since the last look at a class.
  private var fewest = [Int: Int]()
  /// Bytes that a class may have in magazines, and whether some were turned away since that was last changed.
  private var allowances = [Int: (bytes: Int, turnedAway: Bool)]()
  /// Every block that is not home, and its end: no two may overlap.
  private var ends = [UInt: UInt]()

  init() {
    layers = Self.spare ?? OwnLayers(mebibytes: Self.units, cap: 4 << 20, depotBytes: Self.depotBytes, surplusBytes: Self.surplusBytes)
    Self.spare = nil
  }

  private func word(_ block: UInt) -> UnsafeMutablePointer<UInt> { UnsafeMutablePointer(bitPattern: block)! }

  func take(_ sizeClass: SizeClass, _ count: Int) -> String? {
    let blocks = layers.blocks(sizeClass, count)
    if blocks.count > count { return "\(blocks.count) blocks" }
    // Whoever gets fewer than asked for has met the end of memory.
    if blocks.count < count, bytesOut + count * sizeClass.size < Self.units << 19 { return "\(blocks.count) blocks only, with \(bytesOut >> 10) KiB out" }
    for block in blocks { if let failure = note(block, sizeClass) { return failure } }
    held[sizeClass.index, default: []] += blocks
    return countIsRight(sizeClass)
  }

  private var bytesOut: Int { ends.reduce(0) { $0 + Int($1.value - $1.key) } }

  private func note(_ block: UInt, _ sizeClass: SizeClass) -> String? {
    let end = block + UInt(sizeClass.size)
    let region = layers.region
    guard block >= region.base, end <= region.base + UInt(region.bytes) else { return "a block outside the region" }
    // What is out shares no granule: each has its owner's name in its first and last word.
    if ends[block] != nil { return "block \(hex(block)) is served twice" }
    if region.tag(at: block) != .free(sizeClass) { return "block \(hex(block)) has the wrong tag" }
    ends[block] = end
    word(block).pointee = block
    word(end - 8).pointee = block
    return nil
  }

  private func isWhole(_ block: UInt) -> Bool {
    guard let end = ends[block] else { return false }
    return word(block).pointee == block && word(end - 8).pointee == block
  }

  func giveBack(_ sizeClass: SizeClass, _ count: Int, oldest: Bool) -> String? {
    let all = held[sizeClass.index, default: []]
    let leaving = Array(oldest ? all.prefix(count) : all.suffix(count))
    if oldest { held[sizeClass.index]?.removeFirst(leaving.count) } else { held[sizeClass.index]?.removeLast(leaving.count) }
    return goHome(leaving, sizeClass)
  }

  private func goHome(_ blocks: [UInt], _ sizeClass: SizeClass) -> String? {
    for block in blocks {
      if !isWhole(block) { return "block \(hex(block)) changed under its owner's hands" }
      ends[block] = nil
    }
    if let twice = layers.giveBack(sizeClass, blocks) { return "block \(hex(twice.address)) is said to have been home" }
    return countIsRight(sizeClass)
  }

  private func stackedCount(_ sizeClass: SizeClass) -> Int { stacked[sizeClass.index, default: []].reduce(0) { $0 + $1.count } }

  private func excess(_ sizeClass: SizeClass, _ coming: Int = 0) -> Int {
    let limit = max(Self.depotBytes, 2 * sizeClass.batch * sizeClass.size)
    return max((stackedCount(sizeClass) + coming) * sizeClass.size - limit, 0)
  }

  private var surplus: Int { stacked.keys.reduce(0) { $0 + excess(SizeClass(index: $1)) } }

  private func countIsRight(_ sizeClass: SizeClass) -> String? {
    let stacked = stackedCount(sizeClass)
    let out = held[sizeClass.index, default: []].count + stacked
    let (counted, kept) = (layers.slabs.takenCount(sizeClass), layers.depots.blockCount(sizeClass))
    if counted != out { return "\(counted) blocks are counted as out, \(out) are" }
    if kept != stacked { return "\(kept) blocks are counted in magazines, \(stacked) are" }
    if layers.depots.surplusBytes != surplus { return "\(layers.depots.surplusBytes) bytes are counted above the limits, \(surplus) are" }
    let coming = sizeClass.batch
    let (grown, hasRoom) = (excess(sizeClass, coming) - excess(sizeClass), layers.depots.hasRoom(coming, sizeClass))
    let allowed = allowance(sizeClass).bytes
    if layers.depots.allowedBytes(sizeClass) != allowed { return "\(layers.depots.allowedBytes(sizeClass)) bytes are allowed, not \(allowed)" }
    let isAllowed = (stacked + coming) * sizeClass.size <= allowed
    if hasRoom == (isAllowed && (grown == 0 || surplus + grown <= Self.surplusBytes)) { return nil }
    return "\(coming) blocks \(hasRoom ? "may" : "may not") come, \(grown) bytes more above the limits"
  }

  // An earlier program may have left one with which it began.
  private func allowance(_ sizeClass: SizeClass) -> (bytes: Int, turnedAway: Bool) {
    allowances[sizeClass.index] ?? (layers.depots.allowedBytes(sizeClass), false)
  }

  private func allow(_ bytes: Int, _ sizeClass: SizeClass) {
    let limit = max(Self.depotBytes, 2 * sizeClass.batch * sizeClass.size)
    let first = min(max(32 << 10, (sizeClass.firstAllowance + 1) / 2 * sizeClass.size), limit)
    allowances[sizeClass.index] = (max(first, min(bytes, limit + Self.surplusBytes)), false)
  }

  /// Whether the magazine may come is asked, and it is put whatever the answer.
  func load(_ sizeClass: SizeClass, _ count: Int) -> String? {
    let leaving = Array(held[sizeClass.index, default: []].suffix(min(count, sizeClass.batch)))
    guard !leaving.isEmpty else { return nil }
    let bytes = allowance(sizeClass).bytes
    if !layers.depots.admit(leaving.count, sizeClass) { allowances[sizeClass.index] = (bytes, true) }
    guard let magazine = layers.depots.takeEmpty() else { return "no magazine" }
    held[sizeClass.index]?.removeLast(leaving.count)
    magazine.hold(leaving.count) { layers.tag(leaving[$0]) }
    stacked[sizeClass.index, default: []].append(leaving)
    let depth = layers.depots.put(magazine, sizeClass)
    let known = stacked[sizeClass.index]!.count
    return depth == known ? countIsRight(sizeClass) : "\(depth) magazines deep, not \(known)"
  }

  func unload(_ sizeClass: SizeClass) -> String? {
    guard let magazine = layers.depots.take(sizeClass) else {
      if allowance(sizeClass).turnedAway { allow(2 * allowance(sizeClass).bytes, sizeClass) }
      return stacked[sizeClass.index, default: []].isEmpty ? countIsRight(sizeClass) : "a magazine is lost"
    }
    guard let known = stacked[sizeClass.index]?.popLast() else { return "a magazine from nowhere" }
    noteFewest(sizeClass)
    let blocks = (0..<magazine.count).map { layers.region.block(taggedAt: magazine[$0]).address }
    layers.depots.discard(magazine)
    held[sizeClass.index, default: []] += blocks
    if blocks != known { return "a magazine does not hold what was put in it" }
    return blocks.allSatisfy(isWhole) ? countIsRight(sizeClass) : "a block changed in a magazine"
  }

  func drain(_ sizeClass: SizeClass) -> String? {
    takeStacked(sizeClass, .max) ?? requireOnce(layers.depots.drain(sizeClass, into: layers.slabs)) ?? countIsRight(sizeClass)
  }

  func drainIdle(_ sizeClass: SizeClass) -> String? {
    let idle = fewest[sizeClass.index, default: 0]
    if idle > 0 { allow(allowance(sizeClass).bytes - idle * sizeClass.size, sizeClass) }
    defer { fewest[sizeClass.index] = stackedCount(sizeClass) }
    return takeStacked(sizeClass, idle)
      ?? requireOnce(layers.depots.drainIdle(sizeClass, since: 0, into: layers.slabs)) ?? countIsRight(sizeClass)
  }

  private func noteFewest(_ sizeClass: SizeClass) {
    fewest[sizeClass.index] = min(fewest[sizeClass.index, default: 0], stackedCount(sizeClass))
  }

  // By whole magazines, the last first.
  private func takeStacked(_ sizeClass: SizeClass, _ limit: Int) -> String? {
    var left = limit
    while left > 0, let magazine = stacked[sizeClass.index]?.popLast() {
      left -= magazine.count
      for block in magazine {
        if !isWhole(block) { return "block \(hex(block)) changed in a magazine" }
        ends[block] = nil
      }
    }
    noteFewest(sizeClass)
    return nil
  }

  private func requireOnce(_ twice: TagAddress?) -> String? {
    twice.map { "block \(hex(layers.region.block(taggedAt: $0).address)) is said to have been home" }
  }

  func purge(all: Bool) -> String? {
    layers.pool.purge(all: all)
    return ends.keys.allSatisfy(isWhole) ? nil : "a block that is out lost its contents"
  }

  func check() -> String? {
    let sorted = ends.sorted { $0.key < $1.key }
    for (one, next) in zip(sorted, sorted.dropFirst()) where one.value > next.key {
      return "blocks \(hex(one.key)) and \(hex(next.key)) overlap"
    }
    return layers.slabs.checkInvariants() && layers.pool.checkInvariants() ? nil : "the records do not agree"
  }

  /// All goes home, and no class keeps a unit.
  func close() -> String? {
    if let failure = check() { return failure }
    for index in Set(held.keys).union(stacked.keys) {
      let sizeClass = SizeClass(index: index)
      if let failure = drain(sizeClass) ?? giveBack(sizeClass, .max, oldest: true) ?? unload(sizeClass) { return failure }
    }
    let kept = layers.pool.heldBytes
    if kept != 0 { return "\(kept >> 10) KiB are kept though every block is home" }
    if let failure = check() { return failure }
    Self.spare = layers
    return nil
  }
}
