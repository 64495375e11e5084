import CAshlar

// MARK: The process-wide heap

extension Heap {
  private enum Phase {
    static var new: UInt { 0 }
    static var ready: UInt { 2 }
    /// Any other value: starting, with the process that does it.
    static var starting: UInt { UInt(bitPattern: Int(ashlar_os_process())) &<< 2 | 1 }
  }

  private static var phase: SharedWord { SharedWord(ashlar_phase_word()) }

  /// The process-wide heap, started by the first call; nil when the system has no memory to start it with (the next
  /// call tries again). Many threads may make the first call at once: one starts it, the others wait.
  @inline(__always)
  package static var shared: UnsafePointer<Heap>? {
    HardwareMemory.loadAcquiring(phase) == Phase.ready ? ready : started()
  }

  /// The process-wide heap, which the caller knows to have started.
  @inline(__always)
  package static var ready: UnsafePointer<Heap> {
    UnsafePointer(ashlar_read_globals().pointee.heap.unsafelyUnwrapped.assumingMemoryBound(to: Heap.self))
  }

  @inline(never)
  private static func started() -> UnsafePointer<Heap>? {
    while true {
      let starting = Phase.starting
      switch HardwareMemory.compareExchange(phase, expected: Phase.new, desired: starting) {
      case Phase.ready: return ready
      case starting: System.yield()
      case let found where found != Phase.new: startAnew(after: found)
      default:
        let succeeded = start()
        HardwareMemory.storeReleasing(succeeded ? Phase.ready : Phase.new, to: phase)
        guard succeeded else { return nil }
        ready.pointee.finishStart()
        return ready
      }
    }
  }

  // The child of a fork has no thread that could finish what one of its parent's had begun: it begins anew. What the
  // parent had mapped by then is lost to it.
  private static func startAnew(after found: UInt) {
    _ = HardwareMemory.compareExchange(phase, expected: found, desired: Phase.new)
  }

  private static func start() -> Bool {
    guard let memory = System.map(MemoryLayout<Heap>.size) else { return false }
    guard let heap = Heap(switches: .fromEnvironment()) else {
      System.unmap(memory, MemoryLayout<Heap>.size)
      return false
    }
    memory.initializeMemory(as: Heap.self, to: heap)
    ashlar_write_globals().pointee.heap = memory
    ashlar_write_globals().pointee.tags = heap.region.tags
    ashlar_write_globals().pointee.tags_by_address = UnsafeMutablePointer(
      bitPattern: UInt(bitPattern: heap.region.tags) &- heap.region.base >> RegionLayout.granuleShift)
    ashlar_write_globals().pointee.region_base = heap.region.base
    // Last, and releasing: whoever sees a range that is not empty sees what lies in it.
    HardwareMemory.storeReleasing(
      UInt(heap.region.bytes / RegionLayout.granuleBytes), to: SharedWord(ashlar_region_granules_word()))
    installHooks()
    return true
  }

  // What may allocate, and so needs the heap to be ready.
  private func finishStart() {
    ashlar_watch_forks()
    if switches.track { setTracking(true) }
    if switches.guardInterval > 0 || switches.sampleInterval > 0 {
      setGuards(canaries: switches.guardInterval, pages: switches.sampleInterval)
    }
  }
}
