import Ashlar

// The buddy system against a bitmap that knows who has each unit.
extension FuzzTarget {
  private enum Request: Int, CaseIterable {
    case take, release, purge, check

    var verb: Grammar.Verb {
      switch self {
      case .take: Grammar.Verb("take", .number("order", below: 8))
      case .release: Grammar.Verb("release", .number(below: 64), .flag("clean"))
      case .purge: Grammar.Verb("purge", .flag("all"))
      case .check: Grammar.Verb("check")
      }
    }
  }

  static let buddy = FuzzTarget(
    "buddy", "the buddy system against a bitmap of the units: what is free is found, and nothing is served twice",
    Grammar(Request.allCases.map(\.verb), weights: ["take": 5, "release": 4]),
    begin: { BuddyModel() },
    perform: { model, step in
      switch Request(rawValue: step.verb)! {
      case .take: model.take(order: step[0])
      case .release: model.release(step[0], isClean: step[1] != 0)
      case .purge: model.purge(all: step[0] != 0)
      case .check: model.check()
      }
    }, close: { $0.close() })
}

private final class BuddyModel {
  private static let units = 32
  // Less stays dirty than there is, so that purging is tried, and so little is queued that the queue fills.
  private let layers = OwnLayers(mebibytes: units, cap: 24 << 20, queueCapacity: 4)
  private var owners = [Int](repeating: 0, count: units)
  private var live: [(number: Int, block: Buddy<HardwareMemory>.Block)] = []
  private var served = 0

  // The first word of a unit says whose it is.
  private func word(_ unit: Int) -> UnsafeMutablePointer<Int> {
    UnsafeMutablePointer(bitPattern: layers.region.address(ofUnit: unit))!
  }

  func take(order: Int) -> String? {
    guard let block = layers.buddy.allocate(order: order) else {
      let free = stride(from: 0, to: Self.units, by: 1 << order).first { first in
        first + 1 << order <= Self.units && owners[first..<(first + 1 << order)].allSatisfy { $0 == 0 }
      }
      return free.map { "none, though units \($0) to \($0 + 1 << order - 1) are free" }
    }
    if block.order != order || block.units.upperBound > Self.units { return "a block of order \(block.order), units \(block.units)" }
    served += 1
    for unit in block.units {
      if owners[unit] != 0 { return "unit \(unit) is taken already" }
      if !block.isDirty, word(unit).pointee != 0 { return "unit \(unit) is said to be clean and is not" }
      owners[unit] = served
      word(unit).pointee = served
    }
    live.append((served, block))
    return nil
  }

  func release(_ index: Int, isClean: Bool) -> String? {
    guard !live.isEmpty else { return nil }
    let (number, block) = live.remove(at: index % live.count)
    for unit in block.units {
      if word(unit).pointee != number { return "unit \(unit) changed under its owner's hands" }
      if isClean { word(unit).pointee = 0 }
      owners[unit] = 0
    }
    layers.buddy.release(.init(order: block.order, index: block.index, isDirty: !isClean))
    return nil
  }

  func purge(all: Bool) -> String? {
    layers.buddy.purge(all: all)
    let dirty = layers.buddy.dirtyUnits
    return all && dirty != 0 ? "\(dirty) units are dirty after a purge of all" : nil
  }

  func check() -> String? { layers.buddy.checkInvariants() ? nil : "its records do not agree" }

  /// Gives all back: it merges to what it was.
  func close() -> String? {
    while !live.isEmpty { if let failure = release(0, isClean: false) { return failure } }
    if let failure = check() { return failure }
    // Nothing is written to it: half the time would go into pages that nobody looks at any more.
    let whole = layers.buddy.allocate(order: Self.units.trailingZeroBitCount)
    return whole?.units == 0..<Self.units ? nil : "what all of it was given back to is not whole"
  }
}
