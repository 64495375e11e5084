/// Which stores a load may return. The locks, sleeping and waking are the same in all.
public struct MemoryModel: Sendable, Hashable {
  /// Every load returns the latest store.
  public static let sequential = MemoryModel(isWeak: false, storesAnywhere: false)
  /// Release and acquire as in C11, on top of "no load returns a store of its own future": the model RC11 (Lahav et al.,
  /// "Repairing Sequential Consistency in C/C++11", 2017). A store comes last in the modification order of its cell.
  public static let releaseAcquire = MemoryModel(isWeak: true, storesAnywhere: false)
  /// The same, but a store may also take its place before stores that its thread does not know of. Exactly what RC11
  /// allows, at the price of more executions; only programs that store to one cell from several threads without
  /// reading it can tell the difference.
  public static let releaseAcquireExact = MemoryModel(isWeak: true, storesAnywhere: true)

  /// `releaseAcquire`, and one relaxed load of an execution may return a store that another thread has yet to take: load
  /// buffering, as C11 has it on paper and ARM64 does it. For exhaustive searches, in memory that has a name; which stores
  /// there are to be returned is gathered by a first search without.
  public static let loadBuffering = MemoryModel(isWeak: true, storesAnywhere: false, readsFuture: true)

  let isWeak: Bool
  let storesAnywhere: Bool
  var readsFuture = false
  /// How often a thread may read one store although there is a later one: C11 wants stores to be seen in finite time.
  public var staleReads: UInt8 = 2
}
