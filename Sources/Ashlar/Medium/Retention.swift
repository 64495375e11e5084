/// How much free memory is kept for reuse, and for how long.
///
/// Freed memory that still holds pages is *dirty*. It is kept, because touching new pages costs more than anything
/// else an allocator does, until it has been free for the delay, or until more than the cap is dirty: then the longest
/// free goes first. Age is looked at when blocks are freed, when slabs change hands and at a bin's turn, and `trim` gives
/// everything back at once.
package struct Retention<Memory: SharedMemory> {
  private let region: Region<Memory>
  private let capUnits: Int
  private let timer: SweepTimer<Memory>

  package static var bytes: Int { SweepTimer<Memory>.bytes }

  /// - Parameters:
  ///   - state: `bytes` long and zero, shared.
  ///   - cap: bytes kept dirty at most on each of the two levels.
  ///   - delay: milliseconds that dirty memory is kept.
  package init(region: Region<Memory>, cap: Int, delay: UInt, state: UnsafeMutableRawPointer) {
    self.region = region
    capUnits = cap / RegionLayout.unitBytes
    timer = SweepTimer(delay: delay, state: state)
  }

  /// The current tick, and the ticks that dirty memory is kept.
  package var now: UInt { timer.now }
  package var delay: UInt { timer.delay }

  /// Whether a sweep is due: too much dirty, or time gone by since the last one while anything is dirty.
  package func isExceeded(dirtyUnits: Int) -> Bool {
    if isOverCap(dirtyUnits: dirtyUnits) { return true }
    return dirtyUnits > 0 && claimSweep()
  }

  /// Whether it is time for a sweep; to one caller alone, whose sweep it is then.
  package func claimSweep() -> Bool { timer.claim() != nil }

  package func isOverCap(dirtyUnits: Int) -> Bool { dirtyUnits > capUnits }

  package func purge(units: Range<Int>) -> Bool {
    region.purge(pages: (units.lowerBound * RegionLayout.pagesPerUnit)..<(units.upperBound * RegionLayout.pagesPerUnit))
  }
}
