import CAshlar

/// Ashlar: the four-level allocator of this process.
///
/// There is one heap in a process; every value of this type is a name for it. Small requests (to 1 MiB) are O(1) and
/// nearly always a few dozen instructions without a lock. Medium ones (to 512 MiB) are O(1) amortised, larger ones a system
/// call. A free of what is not the start of a live block is always detected, and reported, fatally unless a fault handler is
/// set; that a block is live again, and another's, no allocator can see (docs/design.md).
public struct PoolAllocator: BlockAllocator {
  public init() {}

  @inline(__always)
  public func allocate(
    size: Int, alignment: Int, zeroed: Bool, file: StaticString, line: UInt
  ) throws(AllocationError) -> UnsafeMutableRawPointer {
    // A negative size is a huge one here, and never takes the hot path.
    if alignment <= 16, alignment > 0, alignment & (alignment &- 1) == 0, !zeroed,
      let block = HotPath<HardwareMemory>.allocate(
        UInt(bitPattern: size),
        larger: { HotPath<HardwareMemory>.allocateLarger(UInt(bitPattern: size), otherwise: { nil }, live: { restore($0) }) },
        otherwise: { nil }, live: { restore($0) })
    {
      return block
    }
    return try allocateSlowly(size, alignment, zeroed, Site(file: file, line: line))
  }

  private func restore(_ tag: TagAddress) -> UnsafeMutableRawPointer? {
    ProcessHeap.ready.restore(live: tag)
    return nil
  }

  @inline(never)
  private func allocateSlowly(
    _ size: Int, _ alignment: Int, _ zeroed: Bool, _ site: Site
  ) throws(AllocationError) -> UnsafeMutableRawPointer {
    let request = try Self.request(size, alignment, zeroed)
    guard let block = ProcessHeap.shared?.allocate(request, site: site)?.raw else { throw .outOfMemory(size: size) }
    return block
  }

  private static func request(_ size: Int, _ alignment: Int, _ zeroed: Bool) throws(AllocationError) -> Request {
    guard size >= 0 else { throw .invalidSize }
    guard let valid = Alignment(UInt(bitPattern: alignment)) else { throw .invalidAlignment(alignment) }
    return Request(size: size, alignment: valid.value, zeroed: zeroed)
  }

  public func reallocate(
    _ block: UnsafeMutableRawPointer, size: Int, alignment: Int, file: StaticString, line: UInt
  ) throws(AllocationError) -> UnsafeMutableRawPointer {
    let request = try Self.request(size, alignment, false)
    guard let heap = ProcessHeap.shared else { throw .outOfMemory(size: size) }
    switch heap.reallocate(UserPointer(block), request, site: Site(file: file, line: line)) {
    case .done(let user): return user.raw.unsafelyUnwrapped
    case .outOfMemory: throw .outOfMemory(size: size)
    case .invalid: throw .invalidPointer
    }
  }

  @inline(__always)
  public func deallocate(_ block: UnsafeMutableRawPointer?) {
    HotPath<HardwareMemory>.free(block, otherwise: { slowFree(block) })
  }

  public func deallocate(_ block: UnsafeMutableRawPointer?, size: Int) {
    ashlarFreeSized(block, UInt(bitPattern: size))
  }

  public func usableSize(of block: UnsafeMutableRawPointer?) -> Int {
    Int(bitPattern: ashlarMallocUsableSize(block))
  }
}

// MARK: The heap as a whole

extension PoolAllocator {
  /// Smallest and largest request that the small level serves, 16 B and 1 MiB; 512 MiB for the medium level, and
  /// 1 GiB for the large one. Anything above is huge.
  public static let levelLimits = (small: SizeClass.largest, medium: Request.mediumLimit, large: DirectMappings<HardwareMemory>.hugeLimit)

  /// Bytes of a block of each size class, smallest first.
  public static var sizeClasses: [Int] { SizeClass.all.map(\.size) }

  /// What the heap holds and has done. O(size classes × threads); cheap enough to call in a loop.
  public func statistics() -> Statistics { ProcessHeap.shared?.statistics() ?? Statistics() }

  /// The figures of the size class with blocks of `sizeClasses[index]` bytes.
  ///
  /// - Precondition: `index` is one of `sizeClasses`.
  public func statistics(ofSizeClass index: Int) -> Statistics.Figures {
    precondition((0..<SizeClass.count).contains(index), "no such size class")
    return ProcessHeap.shared?.statistics(of: SizeClass(index: index)) ?? Statistics.Figures()
  }

  /// The figures of the medium blocks of 2^order MiB.
  ///
  /// - Precondition: `order` is 0 to 9.
  public func statistics(ofOrder order: Int) -> Statistics.Figures {
    precondition((0..<BuddyTables.orders).contains(order), "no such order")
    return ProcessHeap.shared?.statistics(ofOrder: order) ?? Statistics.Figures()
  }

  /// Where free memory waits before it is given back to the system. O(size classes × threads).
  public var freeMemory: FreeMemory { ProcessHeap.shared?.freeMemory() ?? FreeMemory() }

  /// Gives free memory back to the system: all but what other threads' caches hold. O(blocks in the calling thread's
  /// cache and the global stacks, and free blocks of the medium level).
  public func trim() { ProcessHeap.shared?.trim() }

  /// Brings home what the calling thread's cache and the global stacks hold; the memory stays with the heap.
  package func reclaim() { ProcessHeap.shared?.reclaim() }

  /// Gives back to the system what no cache and no global stack holds.
  package func purge() { ProcessHeap.shared?.purge() }

  /// Releases every huge block (over 1 GiB) at once; nobody may use one any more. Answers how many there were.
  @discardableResult
  public func releaseAllHugeBlocks() -> Int {
    ProcessHeap.shared?.releaseAllHuge() ?? 0
  }

  /// Checks every record of the heap against every other; true when all agree. No other thread may be inside the
  /// allocator. O(blocks).
  public func checkInvariants() -> Bool { ProcessHeap.shared?.checkInvariants() ?? true }

  /// Memory calls made to the system (map, unmap, advise, …) since the process began.
  public static var systemCallCount: Int { SystemFaults.callCount }

  /// Makes the `call`th memory call to the system from now on fail (1 is the next), and with `onwards` every later
  /// one too, until `liftSystemFaults`: for tests of what happens then. Process-wide.
  public static func injectSystemFault(call: Int, onwards: Bool) { SystemFaults.fail(call: call, onwards: onwards) }

  /// Ends what `injectSystemFault` began.
  public static func liftSystemFaults() { SystemFaults.lift() }
}

// MARK: Guards

extension PoolAllocator {
  /// Which blocks are guarded: one in how many, 0 for none, 1 for all.
  public struct Guards: Sendable, Equatable {
    /// By a header before and a canary behind the block, on every level: an overflow or underflow is found when the
    /// block is freed, by `checkInvariants` and at exit; a write after free when the memory is to be used again, by `trim`
    /// and at exit.
    public var canaries: Int
    /// By an inaccessible page behind a block of up to a page: an overflow or use after free is stopped at the access.
    /// Above 1, at most one block in each tick of the system's clock is taken, a few milliseconds.
    public var pages: Int

    public init(canaries: Int = 0, pages: Int = 0) {
      self.canaries = canaries
      self.pages = pages
    }
  }

  /// Which blocks are guarded from now on. Thread-safe; other threads follow at their next call that leaves the hot path.
  ///
  /// - Precondition: both intervals are 0 to 1,000,000,000.
  public static var guards: Guards {
    get {
      guard let policy = ProcessHeap.shared?.policy else { return Guards() }
      return Guards(canaries: Int(policy.canaryInterval), pages: Int(policy.pageInterval))
    }
    set {
      precondition((0...1_000_000_000).contains(newValue.canaries) && (0...1_000_000_000).contains(newValue.pages))
      ProcessHeap.shared?.setGuards(canaries: newValue.canaries, pages: newValue.pages)
    }
  }
}

// MARK: Tracker

extension PoolAllocator {
  /// Whether the heap records where each block is allocated. Off, it costs nothing; on, every call takes a lock.
  ///
  /// Switching it on or off is safe at any time. Blocks that were allocated while it was off are unknown to it, and
  /// switching it off forgets all.
  public static var isTracking: Bool {
    get { ProcessHeap.shared?.tracker.isEnabled ?? false }
    set { ProcessHeap.shared?.setTracking(newValue) }
  }

  /// Live blocks that the tracker knows.
  public static var trackedBlocks: Int { ProcessHeap.shared?.tracker.count ?? 0 }

  /// Prints the live blocks that the tracker knows, grouped by the place of their allocation and level, to standard
  /// error. Answers how many there are.
  @discardableResult
  public static func reportLeaks() -> Int { ProcessHeap.shared?.tracker.report() ?? 0 }
}
