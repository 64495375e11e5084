/// A part of the generated defects, by lot: from each file the same share, the same ones as long as their names are.
public struct Sample: Sendable {
  public let count: Int
  public let seed: UInt64

  public init(count: Int, seed: UInt64) {
    self.count = count
    self.seed = seed
  }

  public func taken(from defects: [Defect]) -> [Defect] {
    var taken = Set<String>()
    for those in Dictionary(grouping: defects, by: \.file).values {
      let share = (those.count * count + defects.count / 2) / max(1, defects.count)
      taken.formUnion(those.map(\.name).sorted { lot($0) < lot($1) }.prefix(share))
    }
    return defects.filter { taken.contains($0.name) }
  }

  /// The `number`th of `count` parts, from 1, by lot: together they are all, and none is in two.
  public static func part(_ number: Int, of count: Int, from defects: [Defect]) -> [Defect] {
    let sample = Sample(count: defects.count, seed: 1)
    return defects.filter { sample.lot($0.name) % UInt64(count) == UInt64(number - 1) }
  }

  // FNV-1a (Fowler, Noll, Vo), its bits mixed by the finalizer of splitmix64 (Steele, Lea, Flood 2014).
  private func lot(_ name: String) -> UInt64 {
    var hash = name.utf8.reduce(0xCBF2_9CE4_8422_2325 ^ seed) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
    hash = (hash ^ hash &>> 30) &* 0xBF58_476D_1CE4_E5B9
    hash = (hash ^ hash &>> 27) &* 0x94D0_49BB_1331_11EB
    return hash ^ hash &>> 31
  }
}
