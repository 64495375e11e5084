extension Heap {
  /// O(size classes × threads).
  package func statistics() -> Statistics {
    var result = Statistics()
    for sizeClass in SizeClass.all { result.small = result.small + statistics(of: sizeClass) }
    let pages = pages.live
    result.small = result.small + Statistics.Figures(
      allocations: policy.pageSamples, liveBlocks: pages.blocks, liveBytes: pages.bytes)
    for order in 0..<BuddyTables.orders { result.medium = result.medium + statistics(ofOrder: order) }
    result.large = figures(direct.counts(huge: false))
    result.huge = figures(direct.counts(huge: true))
    return result
  }

  /// Figures of one size class. Blocks that are neither at home nor free in a cache or magazine are live.
  package func statistics(of sizeClass: SizeClass) -> Statistics.Figures {
    var allocations = counters.uncachedAllocations(sizeClass)
    var live = slabs.takenCount(sizeClass) - depots.blockCount(sizeClass) - guarded.quarantined(.free(sizeClass))
    registry.visit { cache in
      let bin = cache.bin(sizeClass)
      // A bin that is being armed has for a moment counted up to two turns more or fewer: even fewer than none.
      allocations += max(0, Int(bitPattern: bin.allocations))
      live -= Int(bin.count)
      return true
    }
    // What others free meanwhile may be counted twice.
    live = max(0, live)
    return Statistics.Figures(allocations: allocations, liveBlocks: live, liveBytes: live * sizeClass.size)
  }

  package func statistics(ofOrder order: Int) -> Statistics.Figures {
    let counted = counters.medium(order)
    let live = max(0, counted.liveBlocks - guarded.quarantined(.free(order: order)))
    return Statistics.Figures(allocations: counted.allocations, liveBlocks: live, liveBytes: live * (RegionLayout.unitBytes << order))
  }

  private func figures(_ counts: DirectMappings<Memory>.Counts) -> Statistics.Figures {
    Statistics.Figures(allocations: counts.allocations, liveBlocks: counts.liveBlocks, liveBytes: counts.liveBytes)
  }

  /// Where free memory waits. O(size classes × threads).
  package func freeMemory() -> FreeMemory {
    var free = FreeMemory()
    for sizeClass in SizeClass.all {
      registry.visit { cache in
        if Memory.load(cache.owned) == 2 { return true }
        free.caches += Int(cache.bin(sizeClass).count) * sizeClass.size
        return true
      }
      free.stacks += depots.blockCount(sizeClass) * sizeClass.size
      free.slabs += slabs.freeCount(sizeClass) * sizeClass.size
    }
    // What is lent or comes home meanwhile may be in one class's count alone.
    free.slabs = max(0, free.slabs)
    free.pages = pool.dirtyBytes
    free.units = buddy.dirtyUnits * RegionLayout.unitBytes
    return free
  }

  /// A line a level, one of free memory, and a line for each class in use, on standard error.
  package func printStatistics() {
    let all = statistics()
    for level in Level.allCases { Self.print(level.name, nil, Self.figures(of: level, in: all)) }
    Self.print(freeMemory())
    for sizeClass in SizeClass.all {
      let figures = statistics(of: sizeClass)
      if figures.allocations > 0 { Self.print("class", sizeClass.size, figures) }
    }
  }

  private static func figures(of level: Level, in all: Statistics) -> Statistics.Figures {
    switch level {
    case .small: all.small
    case .medium: all.medium
    case .large: all.large
    case .huge: all.huge
    }
  }

  private static func print(_ free: FreeMemory) {
    LineWriter.report { line in
      line.append("ashlar: free: ")
      line.append(free.caches)
      line.append(" bytes in caches, ")
      line.append(free.stacks)
      line.append(" in global stacks, ")
      line.append(free.slabs)
      line.append(" in slabs, ")
      line.append(free.pages)
      line.append(" in pages, ")
      line.append(free.units)
      line.append(" in units")
    }
  }

  private static func print(_ name: StaticString, _ size: Int?, _ figures: Statistics.Figures) {
    LineWriter.report { line in
      line.append("ashlar: ")
      line.append(name)
      if let size {
        line.append(" ")
        line.append(size: size)
      }
      line.append(": ")
      line.append(figures.allocations)
      line.append(" allocations, ")
      line.append(figures.frees)
      line.append(" frees, ")
      line.append(figures.liveBlocks)
      line.append(" live, ")
      line.append(figures.liveBytes)
      line.append(" bytes live")
    }
  }
}
