/// A vector clock (Mattern 1988): for each thread, how much of it has happened before.
struct Clock {
  var lanes = SIMD8<UInt32>()

  /// Threads that there can be, the one that sets up and checks included.
  static let threads = 8

  subscript(thread: Int) -> UInt32 {
    get { lanes[thread] }
    set { lanes[thread] = newValue }
  }

  mutating func join(_ other: Clock) { lanes = pointwiseMax(lanes, other.lanes) }

  /// Whether everything that `other` names is included.
  func includes(_ other: Clock) -> Bool { all(other.lanes .<= lanes) }

  /// Whether anything that `other` names is included.
  func touches(_ other: Clock) -> Bool { any(other.lanes .<= lanes) }

  static var never: Clock { Clock(lanes: SIMD8(repeating: .max)) }

  /// A thread, other than `self`'s own, of which `other` names more than is included.
  func firstMissing(of other: Clock) -> Int? {
    let missing = other.lanes .> lanes
    for thread in 0..<Self.threads where missing[thread] { return thread }
    return nil
  }
}
