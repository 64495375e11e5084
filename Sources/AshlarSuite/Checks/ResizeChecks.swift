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
    grown(context, "locked", isCarried: false) { block, size in mlock(block, min(size / 2, 8 * System.pageBytes)) }
    ontoTouchedPages(context)
    copied(context)
  }

  // Mappings are few: what goes far up is copied. So is all where the system counts what may be written.
  private static func copied(_ context: CheckContext) {
    for (skipped, isStrict, isCarried) in [(127, false, true), (128, false, false), (0, true, false)] {
      let switches = OwnHeap.switches(region: isStrict ? 64 * mebibyte : 66 << 30) { $0.strict = isStrict }
      let made = OwnHeap.with(switches) { heap in
        guard heap.region.bytes == switches.region else { return context.note("no region of 66 GiB") }
        for _ in 0..<skipped where heap.allocate(512 * mebibyte) == nil { context.find("no memory") }
        guard let block = heap.allocate(4 * mebibyte), heap.allocate(4 * mebibyte) != nil else { return context.find("no memory") }
        memset(block, 1, 4 * mebibyte)
        guard heap.reallocate(block, 8 * mebibyte) != nil else { return context.find("no memory") }
        let isLeft = ResidentPages(block, 4 * mebibyte).present > 0
        context.require(isLeft != isCarried, "behind \(skipped) blocks\(isStrict ? ", strict" : ""): \(isLeft ? "copied" : "carried")")
        context.count(1)
      }
      context.require(made, "no heap")
    }
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
      // Where what lies behind the first is another's, no later one begins a larger block either.
      guard var block = heap.allocate(4 * mebibyte), let behind = heap.allocate(4 * mebibyte) else { return context.find("no memory") }
      Pattern.fill(block, 0..<(4 * mebibyte), seed: 4)
      for size in [8 * mebibyte, 16 * mebibyte, 32 * mebibyte] {
        before(block, size)
        let old = block
        guard let moved = heap.reallocate(block, size) else { return context.find("\(name): no \(size) bytes") }
        SystemFaults.lift()
        block = moved
        let changed = Pattern.firstDifference(block, 0..<(size / 2), seed: UInt64(size / 2 / mebibyte))
        context.require(changed == nil && block != old, "\(name): grown to \(size) bytes, byte \(changed ?? 0) has changed")
        let left = ResidentPages(old, size / 2).present
        let dirty = heap.buddy.dirtyUnits
        let tags = ResidentPages(heap.region.tags + heap.region.unit(of: UInt(bitPattern: old)) * RegionLayout.unitBytes / 16, size / 32).present
        context.require(isCarried != true || tags == 0, "\(name): grown to \(size) bytes, a block leaves \(tags) pages of tags behind")
        context.require(isCarried != true || left == 0, "\(name): grown to \(size) bytes, a block leaves \(left) pages behind")
        context.require(isCarried != true || dirty == 0, "\(name): grown to \(size) bytes, \(dirty) free units are said to hold memory")
        requireZeroed(context, heap, size / 2, at: old, "\(name): grown to \(size) bytes")
        Pattern.fill(block, 0..<size, seed: UInt64(size / mebibyte))
        context.count(1)
      }
      heap.free(block)
      heap.free(behind)
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
      guard let block = heap.allocate(4 * mebibyte), heap.allocate(4 * mebibyte) != nil, let used = heap.allocate(8 * mebibyte) else {
        return context.find("no memory")
      }
      Pattern.fill(block, 0..<(4 * mebibyte), seed: 1)
      Pattern.fill(used, 0..<(8 * mebibyte), seed: 2)
      heap.free(used)
      let calls = SystemFaults.callCount
      let moved = heap.reallocate(block, 8 * mebibyte)
      let taken = SystemFaults.callCount - calls
      context.require(moved == used && taken == 0, "a block that grows onto touched pages takes \(taken) calls")
      context.require(Pattern.firstDifference(used, 0..<(4 * mebibyte), seed: 1) == nil, "a block that grows onto touched pages has changed")
      context.require(ResidentPages(block, 4 * mebibyte).missing == 0, "what was copied is not there any more")
      context.count(1)
    }
    context.require(made, "no heap")
  }

  static let growingInPlace = Check(
    "growing-in-place", "a medium block takes what is free behind it, touched or not, and leaves a neighbour's alone; refused where that is to be made writable"
  ) { context in
    let made = OwnHeap.with(OwnHeap.switches(region: 64 * mebibyte)) { heap in
      guard let block = heap.allocate(2 * mebibyte) else { return context.find("no memory") }
      Pattern.fill(block, 0..<mebibyte, seed: 6)
      // Untouched, touched and in its lists, and freed last of its order.
      for (size, isSame) in [(4, true), (32, true), (8, true), (32, true), (16, true), (3, true), (64, true), (128, false)] {
        let calls = SystemFaults.callCount
        let outcome = heap.reallocate(UserPointer(block), Request(size: size * mebibyte), site: .unknown)
        let taken = SystemFaults.callCount - calls
        guard isSame else {
          if case .outOfMemory = outcome { continue }
          return context.find("a block grows beyond the region")
        }
        guard case .done(let same) = outcome else { return context.find("no \(size) MiB") }
        context.require(same.raw == block && taken == 0, "a block made \(size) MiB moves, or takes \(taken) calls")
        context.require(Pattern.firstDifference(block, 0..<mebibyte, seed: 6) == nil, "a block made \(size) MiB has changed")
        memset(block + mebibyte, 1, heap.usableSize(same) - mebibyte)
        let figures = heap.statistics().medium
        context.require(figures.liveBlocks == 1 && figures.liveBytes == heap.usableSize(same), "\(figures) of a block of \(size) MiB")
        context.require(heap.checkInvariants(), "a block made \(size) MiB: the heap's records do not agree")
        context.count(1)
      }
      context.require(heap.buddy.dirtyUnits == 0, "\(heap.buddy.dirtyUnits) units are free and touched beside a block that has all that were")
      for size in [16, 4, 2] { _ = heap.reallocate(block, size * mebibyte) }
      furtherUp(context, heap, block)
      besideNeighbour(context, heap, block)
    }
    context.require(made, "no heap")
    refusedBehind(context)
    everywhere(context)
  }

  // Every block of a region whose last ones of an order do not exist, to every larger order, all else being free or one unit of it in use.
  private static func everywhere(_ context: CheckContext) {
    let units = 12
    for held in 0..<4 {
      for index in 0..<(units >> held) {
        for wanted in (held + 1)...4 {
          let block = Buddy<HardwareMemory>.Block(order: held, index: index, isDirty: true)
          // The first behind it, and the last of the larger one.
          for used in [nil, block.units.upperBound, block.firstUnit + 1 << wanted - 1] where used.map({ $0 < units }) ?? true {
            grow(block, to: wanted, in: units, used: used, context)
          }
        }
      }
    }
  }

  private static func grow(
    _ block: Buddy<HardwareMemory>.Block, to wanted: Int, in units: Int, used: Int?, _ context: CheckContext
  ) {
    let layers = OwnLayers(mebibytes: units)
    let name = "a block of order \(block.order) at unit \(block.firstUnit) of \(units), to order \(wanted)\(used.map { ", unit \($0) in use" } ?? "")"
    let all = (0..<units).compactMap { _ in layers.buddy.allocate(order: 0) }
    context.require(all.count == units, "no memory")
    let grown = block.firstUnit..<(block.firstUnit + 1 << wanted)
    let released = all.filter { !block.units.contains($0.firstUnit) && $0.firstUnit != used }
    released.forEach { layers.buddy.release($0) }
    func hot() -> UInt { HardwareMemory.load(layers.buddy.tables.hot(order: 0)) }
    let last = hot()
    let isPossible = block.firstUnit % (1 << wanted) == 0 && grown.upperBound <= units && !(used.map(grown.contains) ?? false)
    context.require(layers.buddy.grow(block, to: wanted) == isPossible, "\(name): grows, or does not")
    context.require(hot() == last || grown.contains(released.last!.firstUnit), "\(name): what was freed last elsewhere is not at hand any more")
    let taken = Set(isPossible ? grown : block.units).union(used.map { [$0] } ?? [])
    context.require(layers.buddy.checkInvariants(), "\(name): the records do not agree")
    var free: [Int] = []
    layers.buddy.visitListed { order, index in free += (index << order)..<((index + 1) << order) }
    context.require(free.sorted() == (0..<units).filter { !taken.contains($0) }, "\(name): free is \(free.sorted())")
    context.count(1)
  }

  private static func furtherUp(_ context: CheckContext, _ heap: Heap<HardwareMemory>, _ first: UnsafeMutableRawPointer) {
    guard let next = heap.allocate(4 * mebibyte), let block = heap.allocate(4 * mebibyte) else { return context.find("no memory") }
    context.require(next == first + 4 * mebibyte && block == first + 8 * mebibyte, "blocks lie elsewhere")
    context.require(heap.reallocate(block, 8 * mebibyte) == block, "a block moves that could grow, further up")
    for block in [block, next] { heap.free(block) }
  }

  private static func besideNeighbour(_ context: CheckContext, _ heap: Heap<HardwareMemory>, _ block: UnsafeMutableRawPointer) {
    guard let behind = heap.allocate(2 * mebibyte), heap.allocate(4 * mebibyte) != nil else { return context.find("no memory") }
    context.require(behind == block + 2 * mebibyte, "a block's neighbour is elsewhere")
    heap.free(behind)
    Pattern.fill(block + 4 * mebibyte, 0..<(4 * mebibyte), seed: 7)
    guard let moved = heap.reallocate(block, 8 * mebibyte) else { return context.find("no memory") }
    context.require(moved != block, "a block grows into its neighbour")
    context.require(Pattern.firstDifference(block + 4 * mebibyte, 0..<(4 * mebibyte), seed: 7) == nil, "a neighbour has changed")
    context.require(heap.allocate(2 * mebibyte) != nil && heap.checkInvariants(), "what was nearly joined is lost")
  }

  private static func refusedBehind(_ context: CheckContext) {
    let made = OwnHeap.with(OwnHeap.switches(region: 64 * mebibyte) { $0.strict = true }) { heap in
      guard let block = heap.allocate(2 * mebibyte) else { return context.find("no memory") }
      SystemFaults.fail(call: 1, onwards: true)
      let outcome = heap.reallocate(UserPointer(block), Request(size: 8 * mebibyte), site: .unknown)
      SystemFaults.lift()
      guard case .outOfMemory = outcome else { return context.find("a block grows where nothing may be written") }
      context.require(heap.usableSize(UserPointer(block)) == 2 * mebibyte && heap.checkInvariants(), "a block that could not grow has")
      guard let same = heap.reallocate(block, 8 * mebibyte) else { return context.find("what was refused is lost") }
      context.require(same == block, "a block moves that could grow")
      memset(block, 1, 8 * mebibyte)
      context.require(!ProcessMemory.isWritable(block + 8 * mebibyte), "what lies behind a block that has grown can be written")
      context.count(1)
    }
    context.require(made, "no heap")
  }

  static let shrinking = Check(
    "shrinking", "a medium block or a mapping that shrinks stays where it is, and what it loses is there for others"
  ) { context in
    let made = OwnHeap.with(OwnHeap.switches(region: 64 * mebibyte)) { heap in
      for (size, smaller) in [(16, 8), (16, 4), (32, 7), (8, 7), (8, 2), (4, 3)] {
        shrunk(context, heap, size * mebibyte, smaller * mebibyte)
        heap.buddy.purge(all: true)
        context.count(1)
      }
      shrunkElsewhere(context, heap)
      shrunkMapping(context, heap)
    }
    context.require(made, "no heap")
  }

  private static func shrunk(_ context: CheckContext, _ heap: Heap<HardwareMemory>, _ size: Int, _ smaller: Int) {
    let name = "\(size) bytes made \(smaller)"
    guard let block = heap.allocate(size) else { return context.find("no memory") }
    Pattern.fill(block, 0..<size, seed: 3)
    guard let same = heap.reallocate(block, smaller) else { return context.find("\(name): refused") }
    let usable = heap.usableSize(UserPointer(same))
    context.require(same == block && usable >= smaller, "\(name): \(usable) bytes elsewhere")
    context.require(Pattern.firstDifference(block, 0..<smaller, seed: 3) == nil, "\(name): the block has changed")
    let figures = heap.statistics().medium
    context.require(figures.liveBlocks == 1 && figures.liveBytes == usable, "\(name): \(figures.liveBytes) bytes are counted")
    context.require(heap.reallocate(same, usable - 1) == same && heap.statistics().medium == figures, "\(name): what is resized within its order counts")
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

  // An eighth of a block is copied, to before a neighbour's.
  private static func shrunkElsewhere(_ context: CheckContext, _ heap: Heap<HardwareMemory>) {
    guard let place = heap.allocate(4 * mebibyte), let neighbour = heap.allocate(4 * mebibyte), let block = heap.allocate(32 * mebibyte)
    else { return context.find("no memory") }
    Pattern.fill(neighbour, 0..<(4 * mebibyte), seed: 8)
    Pattern.fill(block, 0..<(32 * mebibyte), seed: 9)
    heap.free(place)
    guard let moved = heap.reallocate(block, 4 * mebibyte) else { return context.find("no memory") }
    context.require(moved == place && neighbour == place + 4 * mebibyte, "an eighth of a block keeps its place")
    context.require(Pattern.firstDifference(moved, 0..<(4 * mebibyte), seed: 9) == nil, "an eighth of a block has changed")
    context.require(Pattern.firstDifference(neighbour, 0..<(4 * mebibyte), seed: 8) == nil, "a block that shrinks is copied over its neighbour")
    for block in [moved, neighbour] { heap.free(block) }
  }

  private static func shrunkMapping(_ context: CheckContext, _ heap: Heap<HardwareMemory>) {
    guard let block = heap.allocate(600 * mebibyte) else { return context.find("no memory") }
    for (size, isSame) in [(300 * mebibyte, true), (mebibyte + 1, true), (mebibyte, false)] {
      block.storeBytes(of: size, as: Int.self)
      guard let moved = heap.reallocate(block, size) else { return context.find("a mapping made \(size) is refused") }
      let usable = heap.usableSize(UserPointer(moved))
      context.require((moved == block) == isSame && moved.load(as: Int.self) == size, "a mapping made \(size) is \(isSame ? "moved" : "kept"), or changed")
      context.require(usable - size < RegionLayout.pageBytes, "a mapping made \(size) keeps \(usable) bytes")
      if !isSame { heap.free(moved) }
      context.count(1)
    }
    let aligned = heap.allocate(Request(size: 200_000, alignment: 128 << 10), site: .unknown)
    let calls = SystemFaults.callCount
    let outcome = aligned.map { heap.reallocate($0, Request(size: 100_000, alignment: 128 << 10), site: .unknown) }
    guard case .done(let kept) = outcome else { return context.find("no memory") }
    context.require(kept.raw == aligned?.raw && SystemFaults.callCount == calls + 1, "a small mapping that shrinks moves")
    heap.free(kept.raw!)
    context.require(heap.statistics().total.liveBlocks == 0 && heap.checkInvariants(), "the heap's records do not agree")
  }
}
