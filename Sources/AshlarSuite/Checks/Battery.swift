import Ashlar

/// All checks, in the order in which they run.
public enum Battery {
  public static let checks: [Check] = [
    .noHeap, .alignmentAlone, .alignmentTogether, .operations, .operationsInC, .boundaries, .fragmentation, .largeFragmentation,
    .threads, .handOver, .forks, .threadChurn, .doubleFreeRace, .misuse, .guards,
    .guardedOperations, .badInput, .outOfMemory, .statistics, .tracker, .systemCalls,
    .systemCallsMedium, .memoryReturn, .purge, .levels, .depotLimit, .metadata, .topOrder, .addressSpace, .strict, .zeroed,
    .refusedUnmaps, .trackerRefused, .switches, .lineWriter, .reportText, .caches, .mappings, .guardChoice, .guardRecords, .systemAllocator, .buffers, .environment, .exitReports, .poolCap, .retention, .cInterface, .resizing, .wrongSize, .guardPages,
    .guardSizes, .sampledCounts, .threadExit, .reportReentry,
    .handedOutTwice, .slabReuse, .lateReport, .table, .listingRefused, .freshRefusals, .objectPool, .sharedPool, .poolMisuse,
    .arena, .sharedArena, .arenaMisuse, .numa, .numaMisuse, .leaks,
  ]

  /// The checks with these names, in the battery's order; nil with the first name that is none.
  public static func checks(named names: [String]) -> Result<[Check], UnknownCheck> {
    for name in names where !checks.contains(where: { $0.name == name }) { return .failure(UnknownCheck(name: name)) }
    return .success(checks.filter { names.contains($0.name) })
  }

  public struct UnknownCheck: Error {
    public let name: String
  }
}
