/// Memory that is free and still resident, in bytes, by where it waits: what a process holds beside its live blocks.
///
/// Each figure is of some moment during the call, and exact when no thread is inside the allocator.
public struct FreeMemory: Sendable, Equatable {
  /// Blocks in the threads' caches, for these threads alone. Sent home when a thread has not used their size for about a quarter of
  /// `ASHLAR_DELAY`, and when it ends.
  public var caches = 0
  /// Blocks in the global stacks, for all threads: up to `ASHLAR_DEPOT` of a size, and `ASHLAR_SURPLUS` of all above that.
  public var stacks = 0
  /// Blocks at home in slabs, beside others that are not. They are for blocks of about their size, and given back to the system when their
  /// whole slab is free: this is fragmentation. Bytes that are lost in loans are counted here.
  public var slabs = 0
  /// Pages of no slab, for blocks of any size to 1 MiB, until they are given back to the system.
  public var pages = 0
  /// Units of 1 MiB, for blocks of any size to 512 MiB, until they are given back to the system.
  public var units = 0

  public init() {}

  /// All of it.
  public var total: Int { caches + stacks + slabs + pages + units }
}
