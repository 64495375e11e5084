/// Free memory that has not been given back to the system, in bytes, by where it waits.
///
/// With the live blocks this is most of what a process may hold by allocating. Not counted are the allocator's records (a tag for each 16
/// bytes, caches, magazines) and guarded blocks in quarantine; and of what is counted some may never have been touched, and so not be
/// resident: blocks of a slab that nobody has had yet. Exact when no thread is inside the allocator, otherwise each figure is of some moment
/// during the call.
public struct FreeMemory: Sendable, Equatable {
  /// Blocks in the threads' caches, for these threads alone. A thread that allocates sends those home whose size it has not allocated for
  /// about a quarter of `ASHLAR_DELAY`, and one that ends sends all away.
  public var caches = 0
  /// Blocks in the global stacks, for all threads: up to `ASHLAR_DEPOT` of a size, and `ASHLAR_SURPLUS` of all above that.
  public var stacks = 0
  /// Blocks at home in slabs, beside others that are not: fragmentation. They are for blocks of their size, some for larger ones, and come
  /// free for others with their whole slab. What is lost in loans is counted here.
  public var slabs = 0
  /// Pages of no slab, for blocks of any size to 1 MiB.
  public var pages = 0
  /// Units of 1 MiB, for blocks of any size to 512 MiB.
  public var units = 0

  public init() {}

  /// All of it.
  public var total: Int { caches + stacks + slabs + pages + units }
}
