/// What an object pool holds and has done. The pool keeps no figure for it that it would not keep anyway, but for the number of
/// allocations.
public struct ObjectPoolStatistics: Sendable, Equatable {
  /// Objects that may be live at once.
  public var capacity: Int
  /// Objects that are live.
  public var liveObjects: Int
  /// The most objects that ever were live at once: memory is held for as many.
  public var peakObjects: Int
  /// Allocations since the pool was made.
  public var allocations: Int
  /// Objects given back since the pool was made.
  public var frees: Int

  init(_ counts: (slots: Int, live: Int, peak: Int, taken: Int)) {
    capacity = counts.slots
    liveObjects = counts.live
    peakObjects = counts.peak
    allocations = counts.taken
    frees = counts.taken - counts.live
  }
}
