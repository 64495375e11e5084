import Ashlar

/// All checks, in the order in which they run.
public enum Battery {
  public static let checks: [Check] = [
    .noHeap, .alignmentAlone, .alignmentTogether, .operations, .operationsInC, .boundaries, .fragmentation, .largeFragmentation,
    .threads, .handOver, .sharedLines, .forks, .threadChurn, .doubleFreeRace, .misuse, .misaligned, .guards, .quarantine,
    .guardedBases, .guardedOperations, .badInput, .outOfMemory, .statistics, .freeMemory, .tracker, .systemCalls,
    .systemCallsMedium, .memoryReturn, .purge, .idleCaches, .idleBins, .levels, .depotLimit, .idleDepots, .binAllowance, .depotAllowance, .metadata, .magazines, .topOrder, .addressSpace, .strict, .zeroed,
    .refusedUnmaps, .trackerRefused, .switches, .lineWriter, .reportText, .caches, .mappings, .guardChoice, .guardIntervals, .guardRecords,
    .systemAllocator, .buffers, .environment, .exitReports, .poolCap, .retention, .cInterface, .growth, .resizing, .carriedPages, .growingInPlace, .shrinking, .wrongSize, .guardPages,
    .guardSizes, .sampledCounts, .threadExit, .reportReentry,
    .handedOutTwice, .slabReuse, .lateReport, .table, .listingRefused, .freshRefusals, .objectPool, .sharedPool, .poolMisuse, .poolLimits,
    .arena, .sharedArena, .arenaMisuse, .numa, .numaMisuse, .nodeSets, .layouts, .marks,
    .system, .start, .overcommit, .lazyStart, .hotPath, .merging, .frontier, .flushing, .filling, .stretching, .hugeBlocks, .keeping, .untakenLocks, .awaitedLocks,
    .lostCaches, .ends, .chunks, .whereabouts, .region, .poolRuns, .slabBlocks, .loanShapes, .loans, .loanPolicy, .leaks,
  ]

  /// The check with this name; nil where none has it.
  public static func check(named name: String) -> Check? { checks.first { $0.name == name } }
}
