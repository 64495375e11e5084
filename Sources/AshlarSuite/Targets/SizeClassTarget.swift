import Ashlar

// The arithmetic of size classes, tags and alignments against the plainest way to say the same.
extension FuzzTarget {
  private enum Question: Int, CaseIterable {
    case size, alignedSize, block

    var verb: Grammar.Verb {
      switch self {
      case .size: Grammar.Verb("size", .bits("bytes", 20))
      case .alignedSize: Grammar.Verb("aligned", .bits("size", 20), .power("alignment", exponents: 17))
      case .block: Grammar.Verb("block", .number("class", below: SizeClass.count), .bits("number", 12))
      }
    }
  }

  private static let sizes = SizeClass.all.map(\.size)

  static let sizeClasses = FuzzTarget(
    "size-classes", "the class of every size and alignment, and where the blocks of a slab begin",
    Grammar(Question.allCases.map(\.verb)), begin: {},
    perform: { _, step in
      switch Question(rawValue: step.verb)! {
      case .size: sizes(from: step[0])
      case .alignedSize: size(step[0], alignedTo: 1 << step[1])
      case .block: block(SizeClass(index: step[0]), step[1])
      }
    }, close: { _ in nil })

  // A stretch of them: a class that is wrong for one size only is met soon.
  private static func sizes(from first: Int) -> String? {
    for size in first..<(first + 64) where size <= SizeClass.largest {
      if let failure = self.size(size) { return "size \(size): \(failure)" }
    }
    return nil
  }

  private static func size(_ size: Int) -> String? {
    let expected = sizes.firstIndex { $0 >= size }!
    let found = SizeClass(holding: size).index
    if found != expected { return "class \(found) instead of \(expected)" }
    if size > 1024, SizeClass(holdingLarger: size).index != expected { return "another class on the path of larger sizes" }
    let waste = sizes[found] - max(size, 1)
    let limit = size <= 256 ? 15 : size <= 1024 ? sizes[found] / 8 : sizes[found] / 5
    return waste <= limit ? nil : "\(waste) bytes are wasted"
  }

  // What a size rounded up to a multiple of its alignment falls into must be a multiple of it too.
  private static func size(_ size: Int, alignedTo alignment: Int) -> String? {
    let rounded = (max(size, 1) + alignment - 1) / alignment * alignment
    guard rounded <= SizeClass.largest else { return nil }
    let sizeClass = SizeClass(holding: rounded)
    if alignment <= RegionLayout.pageBytes, sizeClass.size % alignment != 0 { return "blocks of \(sizeClass.size) are not so aligned" }
    return self.size(rounded)
  }

  private static func block(_ sizeClass: SizeClass, _ number: Int) -> String? {
    let bytes = RegionLayout.pageBytes << sizeClass.slabOrder
    let blocks = sizeClass.slabBlocks
    if blocks * sizeClass.size > bytes || (blocks + 1) * sizeClass.size <= bytes { return "\(blocks) blocks in \(bytes) bytes" }
    let tag = Tag.free(sizeClass)
    if tag.isLive || !tag.live.isLive || tag.sizeClass != sizeClass || tag.live.sizeClass != sizeClass || tag.order != nil {
      return "its tag does not say what it is"
    }
    let layers = sharedLayers
    let index = number % blocks
    let all = layers.blocks(sizeClass, index + 1)
    defer { _ = layers.giveBack(sizeClass, all) }
    guard all.count == index + 1, let first = all.first else { return "no blocks" }
    return all[index] == first + UInt(index * sizeClass.size) ? nil : "block \(index) begins at \(hex(all[index] - first))"
  }

  // Questions change nothing that the next one could see. One program at a time.
  private nonisolated(unsafe) static let sharedLayers = OwnLayers(mebibytes: 64)
}
