import Ashlar
import CAshlar
import Glibc

/// What becomes of medium blocks that grow and shrink.
extension Check {
  private static let mebibyte = 1 << 20

  static let carriedPages = Check(
    "carried-pages", "a medium block that grows onto untouched pages keeps its own, and leaves none behind; each call refused; mappings of several kinds"
  ) { context in
    guard systemCarries() else { return context.note("left out: this system carries no pages") }
    grown(context, "alone", isCarried: true) { _, _ in }
    // The pages of one mapping alone are carried together: those around another one's border are copied.
    for (name, offset) in [("first", 0), ("inner", 2 * mebibyte), ("last", 4 * mebibyte - System.pageBytes)] {
      grown(context, "the \(name) page in a mapping of its own", isCarried: false) { block, size in
        if size < 16 * mebibyte { madvise(block + offset, System.pageBytes, MADV_DONTFORK) }
      }
    }
    // One call of each growth, whichever it is, and then all of them.
    for onwards in [false, true] {
      for call in 1...3 {
        grown(context, "call \(call)\(onwards ? " and all later ones" : "") refused", isCarried: nil) { _, _ in
          SystemFaults.fail(call: call, onwards: onwards)
        }
      }
    }
    ontoTouchedPages(context)
  }

  private static func systemCarries() -> Bool {
    guard let pages = System.map(2 * System.pageBytes) else { return false }
    defer { System.unmap(pages, 2 * System.pageBytes) }
    return System.carry(pages, System.pageBytes, to: pages + System.pageBytes)
  }

  // What grows from 4 MiB to 32 MiB, in a heap that has nothing else, lies in more mappings each time.
  private static func grown(
    _ context: CheckContext, _ name: String, isCarried: Bool?, before: @escaping @Sendable (UnsafeMutableRawPointer, Int) -> Void
  ) {
    let made = OwnHeap.with(OwnHeap.switches(region: 128 * mebibyte)) { heap in
      guard var block = heap.allocate(4 * mebibyte) else { return context.find("no memory") }
      Pattern.fill(block, 0..<(4 * mebibyte), seed: 4)
      for size in [8 * mebibyte, 16 * mebibyte, 32 * mebibyte] {
        before(block, size)
        let old = block
        guard case .done(let moved) = heap.reallocate(UserPointer(block), Request(size: size), site: .unknown) else {
          return context.find("\(name): no \(size) bytes")
        }
        SystemFaults.lift()
        block = moved.raw!
        let changed = Pattern.firstDifference(block, 0..<(size / 2), seed: UInt64(size / 2 / mebibyte))
        context.require(changed == nil && block != old, "\(name): grown to \(size) bytes, byte \(changed ?? 0) has changed")
        let left = ResidentPages(old, size / 2).present
        let dirty = heap.buddy.dirtyUnits
        context.require(isCarried != true || left == 0, "\(name): grown to \(size) bytes, a block leaves \(left) pages behind")
        context.require(isCarried != true || dirty == 0, "\(name): grown to \(size) bytes, \(dirty) free units are said to hold memory")
        requireZeroed(context, heap, size / 2, at: old, "\(name): grown to \(size) bytes")
        Pattern.fill(block, 0..<size, seed: UInt64(size / mebibyte))
        context.count(1)
      }
      heap.free(block)
      context.require(heap.statistics().total.liveBlocks == 0 && heap.checkInvariants(), "\(name): the heap's records do not agree")
    }
    context.require(made, "no heap")
  }

  // The place that a block has left is the next one's of its size, and reads as zero where that is asked for.
  private static func requireZeroed(
    _ context: CheckContext, _ heap: Heap<HardwareMemory>, _ size: Int, at place: UnsafeMutableRawPointer, _ name: String
  ) {
    guard let next = heap.allocate(size, zeroed: true) else { return context.find("\(name): no memory") }
    let written = Pattern.firstNonZero(next, 0..<size)
    context.require(next == place && written == nil, "\(name): byte \(written ?? -1) of the next block is not zero")
    heap.free(next)
    heap.buddy.purge(all: true)
  }

  // To pages that are there, contents are copied: the old ones stay to be used again, as the new ones were.
  private static func ontoTouchedPages(_ context: CheckContext) {
    let made = OwnHeap.with(OwnHeap.switches(region: 64 * mebibyte)) { heap in
      guard let block = heap.allocate(4 * mebibyte), let used = heap.allocate(8 * mebibyte) else { return context.find("no memory") }
      Pattern.fill(block, 0..<(4 * mebibyte), seed: 1)
      Pattern.fill(used, 0..<(8 * mebibyte), seed: 2)
      heap.free(used)
      let calls = SystemFaults.callCount
      let outcome = heap.reallocate(UserPointer(block), Request(size: 8 * mebibyte), site: .unknown)
      let taken = SystemFaults.callCount - calls
      guard case .done(let moved) = outcome else { return context.find("no memory") }
      context.require(moved.raw == used && taken == 0, "a block that grows onto touched pages takes \(taken) calls")
      context.require(Pattern.firstDifference(used, 0..<(4 * mebibyte), seed: 1) == nil, "a block that grows onto touched pages has changed")
      context.require(ResidentPages(block, 4 * mebibyte).missing == 0, "what was copied is not there any more")
      context.count(1)
    }
    context.require(made, "no heap")
  }

  static let shrinking = Check(
    "shrinking", "a medium block or a mapping that shrinks stays where it is, and what it loses is there for others"
  ) { context in
    let made = OwnHeap.with(OwnHeap.switches(region: 64 * mebibyte)) { heap in
      for (size, smaller) in [(16, 8), (16, 2), (32, 5), (8, 7), (4, 3)] {
        shrunk(context, heap, size * mebibyte, smaller * mebibyte)
        heap.buddy.purge(all: true)
        context.count(1)
      }
      shrunkMapping(context, heap)
    }
    context.require(made, "no heap")
  }

  private static func shrunk(_ context: CheckContext, _ heap: Heap<HardwareMemory>, _ size: Int, _ smaller: Int) {
    let name = "\(size) bytes made \(smaller)"
    guard let block = heap.allocate(size) else { return context.find("no memory") }
    Pattern.fill(block, 0..<size, seed: 3)
    guard case .done(let same) = heap.reallocate(UserPointer(block), Request(size: smaller), site: .unknown) else {
      return context.find("\(name): refused")
    }
    let usable = heap.usableSize(same)
    context.require(same.raw == block && usable >= smaller, "\(name): \(usable) bytes elsewhere")
    context.require(Pattern.firstDifference(block, 0..<smaller, seed: 3) == nil, "\(name): the block has changed")
    let figures = heap.statistics().medium
    context.require(figures.liveBlocks == 1 && figures.liveBytes == usable, "\(name): \(figures.liveBytes) bytes are counted")
    // Of each order up to that of the whole one block lies behind it, all of them used.
    context.require(heap.buddy.dirtyUnits * mebibyte == size - usable, "\(name): \(heap.buddy.dirtyUnits) units are free and touched")
    var behind: [UnsafeMutableRawPointer] = []
    for offset in sequence(first: usable, next: { 2 * $0 }).prefix(while: { $0 < size }) {
      guard let next = heap.allocate(offset) else { return context.find("\(name): no memory") }
      context.require(next == block + offset, "\(name): what it lost at \(offset) is not had again")
      behind.append(next)
    }
    behind.forEach { heap.free($0) }
    let faults = FaultRecorder.record { for block in behind.suffix(1) + [block, block] { heap.free(block) } }
    context.require(faults.map(\.kind) == behind.suffix(1).map { _ in "double free" } + ["double free"], "\(name): freeing draws \(faults)")
    // Also when its tag is gone.
    heap.buddy.purge(all: true)
    let late = FaultRecorder.record { heap.free(block) }
    context.require(late.map(\.kind) == ["double free"] && late.first?.blockSize == usable, "\(name): a late second free draws \(late)")
    context.require(heap.statistics().total.liveBlocks == 0 && heap.checkInvariants(), "\(name): the heap's records do not agree")
  }

  private static func shrunkMapping(_ context: CheckContext, _ heap: Heap<HardwareMemory>) {
    guard let block = heap.allocate(600 * mebibyte) else { return context.find("no memory") }
    for (size, isSame) in [(300 * mebibyte, true), (mebibyte + 1, true), (mebibyte, false)] {
      block.storeBytes(of: size, as: Int.self)
      guard case .done(let moved) = heap.reallocate(UserPointer(block), Request(size: size), site: .unknown) else {
        return context.find("a mapping made \(size) is refused")
      }
      context.require((moved.raw == block) == isSame && moved.raw?.load(as: Int.self) == size, "a mapping made \(size) is \(isSame ? "moved" : "kept"), or changed")
      context.require(heap.usableSize(moved) - size < RegionLayout.pageBytes, "a mapping made \(size) keeps \(heap.usableSize(moved)) bytes")
      if !isSame { heap.free(moved.raw!) }
      context.count(1)
    }
    context.require(heap.statistics().total.liveBlocks == 0 && heap.checkInvariants(), "the heap's records do not agree")
  }
}
