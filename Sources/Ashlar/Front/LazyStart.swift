/// Something that is started by the first call, whichever thread makes it: one starts it, the others wait.
///
/// The word is 0 when it was not started, 2 when it is ready, and otherwise names the process that is starting it: the
/// child of a fork has no thread that could finish what one of its parent's had begun, and begins anew.
package struct LazyStart<Memory: SharedMemory> {
  private let phase: SharedWord

  private enum Phase {
    static var new: UInt { 0 }
    static var ready: UInt { 2 }
    static func starting(_ process: UInt) -> UInt { process &<< 2 | 1 }
  }

  /// `phase` is zero at first, and used for nothing else.
  @inline(__always)
  package init(phase: SharedWord) { self.phase = phase }

  /// Whoever sees true sees all that the start has written.
  @inline(__always)
  package var isReady: Bool { Memory.loadAcquiring(phase) == Phase.ready }

  /// Makes sure that it has been started; false when it could not be (the next call tries again).
  ///
  /// - Parameters:
  ///   - process: the one that the caller runs in.
  ///   - start: called by one thread while the others wait; answers whether it succeeded.
  ///   - finish: called by the same thread afterwards, when nobody waits any more.
  package func ensure(in process: UInt, start: () -> Bool, finish: () -> Void) -> Bool {
    let starting = Phase.starting(process)
    while true {
      switch Memory.compareExchange(phase, expected: Phase.new, desired: starting, .acquiring) {
      case Phase.ready: return true
      case starting: Memory.pause()
      case let found where found != Phase.new: startAnew(after: found)
      default:
        let succeeded = start()
        Memory.storeReleasing(succeeded ? Phase.ready : Phase.new, to: phase)
        if succeeded { finish() }
        return succeeded
      }
    }
  }

  // What the parent's thread had mapped by the time of the fork is lost to the child.
  private func startAnew(after found: UInt) {
    _ = Memory.compareExchange(phase, expected: found, desired: Phase.new, .relaxed)
  }
}
