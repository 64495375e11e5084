/// How much free memory is kept for reuse, and for how long.
///
/// Freed memory that still holds pages is *dirty*. It is kept, because touching new pages costs more than anything
/// else an allocator does, until it has been free for `delay`, or until more than the cap is dirty: then the longest
/// free goes first. There is no thread that watches the clock: age is looked at when blocks are freed and when slabs
/// change hands, and `trim` gives everything back at once.
package struct Retention<Memory: SharedMemory> {
  private let region: Region<Memory>
  private let capUnits: Int
  /// Ticks that dirty memory is kept; `.max` for ever.
  package let delay: UInt
  private let lastSweep: SharedWord

  /// Eighths of a second.
  private static func ticks(_ milliseconds: UInt) -> UInt { milliseconds * 8 / 1000 }
  package static var bytes: Int { 64 }

  /// - Parameters:
  ///   - state: `bytes` long and zero, shared.
  ///   - cap: bytes kept dirty at most on each of the two levels.
  ///   - delay: milliseconds that dirty memory is kept.
  package init(region: Region<Memory>, cap: Int, delay: UInt, state: UnsafeMutableRawPointer) {
    self.region = region
    capUnits = cap / RegionLayout.unitBytes
    self.delay = Self.ticks(delay)
    lastSweep = SharedWord(state)
  }

  /// The current tick.
  package var now: UInt { Self.ticks(Memory.milliseconds) }

  /// Whether a sweep is due: too much dirty, or half the delay gone by since the last one while anything is dirty.
  package func isExceeded(dirtyUnits: Int) -> Bool {
    if isOverCap(dirtyUnits: dirtyUnits) { return true }
    return dirtyUnits > 0 && claimSweep()
  }

  /// Whether half the delay has gone by since the last sweep; to one caller alone, whose sweep it is then.
  package func claimSweep() -> Bool {
    let tick = now
    let last = Memory.load(lastSweep)
    return tick &- last > delay / 2 && Memory.compareExchange(lastSweep, expected: last, desired: tick, .relaxed) == last
  }

  package func isOverCap(dirtyUnits: Int) -> Bool { dirtyUnits > capUnits }

  package func purge(units: Range<Int>) -> Bool {
    region.purge(pages: (units.lowerBound * RegionLayout.pagesPerUnit)..<(units.upperBound * RegionLayout.pagesPerUnit))
  }
}
