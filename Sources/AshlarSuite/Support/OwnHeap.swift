import Ashlar
import CAshlar

/// A heap beside the process's, for what depends on its switches or takes all of its memory.
enum OwnHeap {
  /// Runs `body` on a thread that has no cache, with a fresh heap that goes when it is done. False when there is none.
  ///
  /// The hot path belongs to the process's heap: the body calls the methods of this one.
  static func with(
    _ switches: Switches, marks: MemoryMarks = MemoryMarks(), _ body: @escaping @Sendable (Heap<HardwareMemory>) -> Void
  ) -> Bool {
    let made = SharedCount()
    Threads.run(1) { _ in
      // A cache would be taken for one of the process's.
      HardwareMemory.hasExited = true
      guard let heap = Heap<HardwareMemory>(switches: switches, marks: marks) else { return }
      made.add(1)
      body(heap)
      heap.region.release()
    }
    return made.value == 1
  }

  static func switches(region: Int, _ change: (inout Switches) -> Void = { _ in }) -> Switches {
    var switches = Switches()
    switches.region = region
    change(&switches)
    return switches
  }
}

extension Heap where Memory == HardwareMemory {
  /// A cache for the calling thread, whose hot path is closed; nil when there is no memory.
  func adoptCache() -> ThreadCache<HardwareMemory>? {
    guard let cache = registry.adopt(capacity: { 2 * $0.batch }) else { return nil }
    HardwareMemory.cache = cache.address
    return cache
  }
}

extension Heap {
  func allocate(_ size: Int, zeroed: Bool = false) -> UnsafeMutableRawPointer? {
    allocate(Request(size: size, zeroed: zeroed), site: .unknown)?.raw
  }

  func free(_ block: UnsafeMutableRawPointer) { free(UserPointer(block)) }

  /// Where the block is then; nil when it could not be resized, and is what it was.
  func reallocate(_ block: UnsafeMutableRawPointer, _ size: Int) -> UnsafeMutableRawPointer? {
    guard case .done(let moved) = reallocate(UserPointer(block), Request(size: size), site: .unknown) else { return nil }
    return moved.raw
  }

  /// Fills an empty bin with `count` blocks, straight from the slabs.
  func fill(_ bin: Bin<Memory>, _ count: Int, _ sizeClass: SizeClass) {
    func put(_ block: TagAddress) {
      bin[bin.count] = block
      bin.count += 1
    }
    while bin.count < count, slabs.take(sizeClass, count - Int(bin.count), put) > 0 {}
  }
}
