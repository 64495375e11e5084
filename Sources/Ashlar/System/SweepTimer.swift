/// Says when it is time to look again for memory that has been free for long: up to four times in a delay, each time to one caller.
///
/// There is no thread that watches the clock: whoever calls anyway asks. Any number of threads may.
package struct SweepTimer<Memory: SharedMemory> {
  /// Ticks that free memory is kept.
  package let delay: UInt
  private let last: SharedWord

  package static var bytes: Int { MemoryLayout<UInt>.size }

  /// - Parameters:
  ///   - delay: in milliseconds.
  ///   - state: `bytes` long and zero, shared.
  package init(delay: UInt, state: UnsafeMutableRawPointer) {
    self.delay = Self.ticks(delay)
    last = SharedWord(state)
  }

  // Eighths of a second.
  private static func ticks(_ milliseconds: UInt) -> UInt { milliseconds * 8 / 1000 }

  /// The current tick.
  package var now: UInt { Self.ticks(Memory.milliseconds) }

  /// The tick of the look before, where a look is due: to one caller alone, whose look it is then. Nil otherwise.
  package func claim() -> UInt? {
    let tick = now
    let last = Memory.load(last)
    // Another thread may have claimed a later tick meanwhile.
    guard Int(bitPattern: tick &- last) >= Int(bitPattern: max(delay / 4, 1)),
      Memory.compareExchange(self.last, expected: last, desired: tick, .relaxed) == last
    else { return nil }
    return last
  }
}
