import Foundation

/// Measurements of one thing, one for each round.
public struct Sample: Sendable {
  /// In the order of the rounds; at least one.
  public let values: [Double]

  /// - Precondition: there is a value, and none is NaN.
  public init(_ values: [Double]) {
    precondition(!values.isEmpty && !values.contains(where: \.isNaN), "a sample needs numbers")
    self.values = values
  }

  /// The middle value; of an even number the mean of the two in the middle. O(n log n).
  public var median: Double {
    let sorted = values.sorted()
    return (sorted[(sorted.count - 1) / 2] + sorted[sorted.count / 2]) / 2
  }

  public var least: Double { values.min()! }
  public var greatest: Double { values.max()! }

  /// This over `other`, round by round: what disturbs a round disturbs both.
  /// - Precondition: as many rounds.
  public func ratios(to other: Sample) -> Sample {
    precondition(values.count == other.values.count, "ratios are of runs of the same round")
    return Sample(zip(values, other.values).map { $0 / $1 })
  }

  /// The n-th root of the product of n positive values; nil of none.
  public static func geometricMean(_ values: [Double]) -> Double? {
    values.isEmpty ? nil : exp(values.reduce(0) { $0 + log($1) } / Double(values.count))
  }
}
