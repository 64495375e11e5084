/// What the allocator holds and has done.
///
/// Exact when no thread is inside the allocator; otherwise each figure is of some moment during the call, and allocations
/// are off by as much as a turn for each bin that is at its turn just then: 1024, or where blocks are sampled up to 128 times
/// the interval. Bytes are those of the blocks, that is, sizes rounded up to their class.
public struct Statistics: Sendable {
  /// The figures of one level, or of one size class.
  public struct Figures: Sendable, Equatable {
    /// Allocations since the start.
    public var allocations = 0
    /// Blocks freed since the start.
    public var frees = 0
    /// Blocks that are live.
    public var liveBlocks = 0
    /// Bytes of the blocks that are live.
    public var liveBytes = 0

    public init() {}

    init(allocations: Int, liveBlocks: Int, liveBytes: Int) {
      self.allocations = allocations
      self.liveBlocks = liveBlocks
      self.liveBytes = liveBytes
      frees = allocations - liveBlocks
    }

    static func + (left: Figures, right: Figures) -> Figures {
      Figures(
        allocations: left.allocations + right.allocations, liveBlocks: left.liveBlocks + right.liveBlocks,
        liveBytes: left.liveBytes + right.liveBytes)
    }
  }

  /// Blocks up to 1 MiB.
  public var small = Figures()
  /// Blocks up to 512 MiB. One that is resized where it is to another power of two is an allocation and a free.
  public var medium = Figures()
  /// Blocks up to 1 GiB, and smaller ones that are aligned to more than 64 KiB or have shrunk.
  public var large = Figures()
  /// Blocks above 1 GiB.
  public var huge = Figures()

  public init() {}

  /// All four levels together.
  public var total: Figures { small + medium + large + huge }
}

/// Counts that no other record holds: medium blocks, and small ones served without a cache.
package struct HeapCounters<Memory: SharedMemory> {
  private let state: UnsafeMutableRawPointer

  package static var bytes: Int { (2 * BuddyTables.orders + SizeClass.count) * 8 }

  /// `state` is `bytes` long and zero.
  package init(state: UnsafeMutableRawPointer) { self.state = state }

  private func word(_ index: Int) -> SharedWord { SharedWord(state + index * 8) }
  private func allocated(_ order: Int) -> SharedWord { word(order) }
  private func freed(_ order: Int) -> SharedWord { word(BuddyTables.orders + order) }
  private func uncached(_ sizeClass: SizeClass) -> SharedWord { word(2 * BuddyTables.orders + sizeClass.index) }

  package func countMedium(_ order: Int) { Memory.add(1, to: allocated(order), .relaxed) }
  func uncountMedium(_ order: Int) { Memory.add(1, to: freed(order), .relaxed) }
  package func countUncached(_ sizeClass: SizeClass) { Memory.add(1, to: uncached(sizeClass), .relaxed) }

  package func medium(_ order: Int) -> (allocations: Int, liveBlocks: Int) {
    let (allocated, freed) = (Memory.load(allocated(order)), Memory.load(freed(order)))
    // What others allocate and free meanwhile may be in one count alone: even fewer than none.
    return (Int(bitPattern: allocated), Int(bitPattern: allocated &- freed))
  }

  package func uncachedAllocations(_ sizeClass: SizeClass) -> Int { Int(bitPattern: Memory.load(uncached(sizeClass))) }
}
