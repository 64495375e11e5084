import Ashlar

extension Check {
  static let threadExit = Check(
    "thread-exit", "a thread that ends leaves an empty cache, which the next one has"
  ) { context in
    let pool = PoolAllocator()
    guard let heap = ProcessHeap.shared else { return context.find("no heap") }
    func caches() -> (all: Int, left: Int, held: UInt) {
      var (all, left, held) = (0, 0, UInt(0))
      heap.registry.visit { cache in
        all += 1
        guard HardwareMemory.load(cache.owned) == 0 else { return true }
        left += 1
        for sizeClass in SizeClass.all { held += cache.bin(sizeClass).count }
        return true
      }
      return (all, left, held)
    }
    let before = caches().all
    for round in 0..<100 {
      Threads.run(1) { _ in
        let blocks = PoolAllocator.sizeClasses.flatMap { size in (0..<3).compactMap { _ in pool.allocateIfPossible(size: size) } }
        blocks.forEach { pool.deallocate($0) }
      }
      let (all, left, held) = caches()
      context.require(left > 0 && held == 0, "\(held) blocks in \(left) caches that were left")
      context.require(all <= before + 1, "\(all - before) more caches after \(round + 1) threads, one at a time")
      context.count(1)
    }
  }

  static let reportReentry = Check(
    "report-reentry", "a fault handler that frees while a bin is flushed: what left the bin leaves it once"
  ) { context in
    let pool = PoolAllocator()
    // One block to a magazine.
    let size = 128 << 10
    let sizeClass = SizeClass(holding: size)
    pool.trim()
    guard let heap = ProcessHeap.shared, let cache = heap.cacheOfThread() else { return context.find("no heap") }
    let count = (heap.depots.limit(sizeClass) + heap.switches.surplus) / size + 8
    let blocks = (0..<count).compactMap { _ in pool.allocateIfPossible(size: size) }
    guard blocks.count == count else { return context.find("no memory") }
    // Fills the bin and the depot.
    for block in blocks[4...] { pool.deallocate(block) }
    let bin = cache.bin(sizeClass)
    context.require(bin.isFull, "\(bin.count) blocks in a bin of \(bin.allowance)")
    // As if two threads had freed it at once, and one had allocated it again.
    let instead = bin[0]
    bin[0] = heap.region.tagAddress(of: BlockBase(address: UInt(bitPattern: blocks[0])))
    let (reports, late) = (SharedCount(), SharedCount())
    late.value = Int(bitPattern: blocks[1])
    PoolAllocator.setFaultHandler { _ in
      reports.add(1)
      PoolAllocator().deallocate(UnsafeMutableRawPointer(bitPattern: late.take()))
    }
    pool.deallocate(blocks[2])
    PoolAllocator.setFaultHandler(nil)
    context.require(reports.value == 1, "\(reports.value) reports of one block freed twice")
    context.require(bin.count == bin.allowance, "\(bin.count) blocks in a bin of \(bin.allowance), in which the handler has put one")
    _ = heap.slabs.giveBack(sizeClass, 1) { _ in instead }
    pool.deallocate(blocks[0])
    pool.deallocate(blocks[3])
    pool.trim()
    context.require(pool.checkInvariants(), "the heap's records do not agree")
    context.count(1)
  }

  static let handedOutTwice = Check(
    "handed-out-twice", "a block that two threads freed at once lies in a bin twice: handed out once, and reported"
  ) { context in
    let pool = PoolAllocator()
    guard let heap = ProcessHeap.shared else { return context.find("no heap") }
    func twice(_ size: Int, _ way: String, _ allocate: () -> UnsafeMutableRawPointer?) {
      let blocks = (0..<2).compactMap { _ in pool.allocateIfPossible(size: size) }
      blocks.forEach { pool.deallocate($0) }
      guard blocks.count == 2, let bin = heap.cacheOfThread()?.bin(SizeClass(holding: size)), bin.count >= 2 else {
        return context.find("no memory")
      }
      let lost = bin[bin.count - 2]
      bin[bin.count - 2] = bin[bin.count - 1]
      var owned: [UnsafeMutableRawPointer] = []
      let faults = FaultRecorder.record { owned = (0..<2).compactMap { _ in allocate() } }
      context.require(Set(owned).count == 2, "\(way), \(size) B: one block for two owners")
      context.require(faults.map(\.kind) == ["block freed twice at once"], "\(way), \(size) B: reported as \(faults)")
      _ = heap.slabs.giveBack(SizeClass(holding: size), 1) { _ in lost }
      owned.forEach { pool.deallocate($0) }
      pool.trim()
      context.require(pool.checkInvariants(), "\(way), \(size) B: the heap's records do not agree")
      context.count(1)
    }
    for size in [64, 1024, 5000, 32 << 10] {
      twice(size, "malloc") { ashlarMalloc(UInt(size)) }
      twice(size, "calloc") { ashlarCalloc(1, UInt(size)) }
      twice(size, "aligned") { ashlarAlignedAlloc(64, UInt(size)) }
      twice(size, "Swift") { pool.allocateIfPossible(size: size) }
    }
    uncached(context)
  }

  // A thread without a cache sends a block home where the other thread that frees it has sent it already.
  private static func uncached(_ context: CheckContext) {
    let made = OwnHeap.with(OwnHeap.switches(region: 4 << 20)) { heap in
      let blocks = (0..<2).compactMap { _ in heap.allocate(64) }
      guard blocks.count == 2 else { return context.find("no memory") }
      heap.free(blocks[0])
      let base = BlockBase(address: UInt(bitPattern: blocks[0]))
      // As the slower of the two threads found it.
      heap.region.setTag(Tag.free(SizeClass(holding: 64)).live, at: base)
      let faults = FaultRecorder.record { heap.free(blocks[0]) }
      context.require(faults.map(\.kind) == ["block freed twice at once"], "a block that is home already is reported as \(faults)")
      heap.free(blocks[1])
      context.require(heap.checkInvariants(), "the heap's records do not agree")
      refusedByFullSlab(heap, context)
    }
    context.require(made, "no heap")
    context.count(1)
  }

  // Of a slab that has no block at home none comes home: it has none to offer after that.
  private static func refusedByFullSlab(_ heap: Heap<HardwareMemory>, _ context: CheckContext) {
    let sizeClass = SizeClass(holding: 64 << 10)
    let blocks = (0..<sizeClass.slabBlocks).compactMap { _ in heap.allocate(64 << 10) }
    guard let block = blocks.first else { return context.find("no memory") }
    let tag = heap.region.tagAddress(of: BlockBase(address: UInt(bitPattern: block)))
    context.require(heap.slabs.giveBack(sizeClass, 1) { _ in tag } == tag, "a block that is live comes home")
    context.require(heap.checkInvariants(), "a full slab is said to have blocks")
    // The one behind it comes home all the same.
    let other = BlockBase(address: UInt(bitPattern: blocks[1]))
    heap.region.setTag(.free(sizeClass), at: other)
    let tags = [tag, heap.region.tagAddress(of: other)]
    let taken = heap.slabs.takenCount(sizeClass)
    context.require(heap.slabs.giveBack(sizeClass, 2) { tags[$0] } == tag, "a block that is live comes home")
    context.require(heap.slabs.takenCount(sizeClass) == taken - 1, "the block behind one that is live does not come home")
    drained(heap, tags[1], sizeClass, context)
    for block in blocks where block != blocks[1] { heap.free(block) }
    // Of a slab that is gone, its tags with it: nothing is known of the block any more, and all of that is zero.
    guard let alone = heap.allocate(1 << 20) else { return context.find("no memory") }
    let last = heap.region.tagAddress(of: BlockBase(address: UInt(bitPattern: alone)))
    heap.free(alone)
    heap.trim()
    let largest = SizeClass(holding: 1 << 20)
    context.require(heap.slabs.giveBack(largest, 1) { _ in last } == last && heap.checkInvariants(), "a block comes home to no slab")
  }

  // Found on the way home from a global stack.
  private static func drained(_ heap: Heap<HardwareMemory>, _ home: TagAddress, _ sizeClass: SizeClass, _ context: CheckContext) {
    guard let magazine = heap.depots.takeEmpty() else { return context.find("no magazine") }
    magazine.hold(1) { _ in home }
    heap.depots.put(magazine, sizeClass)
    let faults = FaultRecorder.record { heap.trim() }
    context.require(faults.map(\.kind) == ["block freed twice at once"], "a block that is home already is drained: \(faults)")
  }

  static let slabReuse = Check("slab-reuse", "blocks at home in slabs that are in use are taken before new ones are cut") { context in
    let pool = PoolAllocator()
    guard let heap = ProcessHeap.shared else { return context.find("no heap") }
    for size in [1024, 16 << 10, 128 << 10] {
      let count = (16 << 20) / size
      var blocks = (0..<count).compactMap { _ in pool.allocateIfPossible(size: size) }
      for index in stride(from: 0, to: count, by: 2) { pool.deallocate(blocks[index]) }
      pool.trim()
      let held = heap.pool.heldBytes
      for index in stride(from: 0, to: count, by: 2) { blocks[index] = pool.allocateIfPossible(size: size)! }
      let grown = heap.pool.heldBytes - held
      // A thread's cache and a magazine may ask for more than is needed.
      context.require(grown <= 1 << 20, "class \(size): \(grown >> 20) MiB more, though there was room")
      blocks.forEach { pool.deallocate($0) }
      pool.trim()
      context.count(count)
    }
  }

  // The unit of blocks that are gone becomes a part of a guarded block, which takes the whole region: what lies there is that one's.
  private static func insideGuarded(_ heap: Heap<HardwareMemory>, _ gone: UnsafeMutableRawPointer, _ context: CheckContext) {
    heap.setGuards(canaries: 1, pages: 0)
    guard let guarded = heap.allocate(3 << 20) else { return context.find("no memory") }
    let faults = FaultRecorder.record { heap.free(gone) }
    context.require(faults.map(\.state) == ["inside a block"], "the inside of a guarded block is reported as \(faults)")
    heap.free(guarded)
  }

  private static func behindTheLast(_ heap: Heap<HardwareMemory>, _ context: CheckContext) {
    let sizeClass = SizeClass(holding: 48)
    // The first of its slab, which 48 does not divide.
    guard let first = heap.allocate(48) else { return context.find("no memory") }
    let faults = FaultRecorder.record { heap.free(first + sizeClass.slabBlocks * 48) }
    context.require(faults.map(\.state) == ["behind the last block of a slab"], "what is left of a slab is reported as \(faults)")
    heap.free(first)
  }

  static let lateReport = Check(
    "late-report", "a second free in a slab that went back to the pool, when its first page is in another slab; in a unit that was purged"
  ) { context in
    let made = OwnHeap.with(OwnHeap.switches(region: 4 << 20)) { heap in
      // Slabs of eight pages, two to a unit: the second keeps the unit.
      let blocks = (0..<9).compactMap { _ in heap.allocate(64 << 10) }
      guard blocks.count == 9 else { return context.find("no memory") }
      for block in blocks[..<8] { heap.free(block) }
      guard let other = heap.allocate(64) else { return context.find("no memory") }
      context.require(other == blocks[0], "another page is used first")
      for (number, block) in blocks[1..<8].enumerated() {
        let faults = FaultRecorder.record { heap.free(block) }
        context.require(
          faults.map(\.state) == ["already free: its slab went back to the pool"], "page \(number + 1): reported as \(faults)")
        context.count(1)
      }
      let untouched = FaultRecorder.record { heap.free(blocks[8] + (64 << 10)) }
      context.require(untouched.map(\.state) == ["never allocated: untouched in its slab"], "what nobody had yet is reported as \(untouched)")
      let inside = FaultRecorder.record { heap.free(blocks[8] + (64 << 10) + 16) }
      context.require(inside.map(\.state) == ["inside a block"], "what lies inside of what nobody had yet is reported as \(inside)")
      heap.free(other)
      heap.free(blocks[8])
      behindTheLast(heap, context)
      insideGuarded(heap, blocks[1], context)
    }
    context.require(made && OwnHeap.with(OwnHeap.switches(region: 4 << 20)) { afterPurge($0, context) }, "no heap")
  }

  // What begins at a unit: a medium block, its tag gone, too; nothing that is known where small blocks lay there since.
  private static func afterPurge(_ heap: Heap<HardwareMemory>, _ context: CheckContext) {
    guard let block = heap.allocate(2 << 20) else { return context.find("no memory") }
    func expect(_ kind: String, _ state: String, _ size: Int) {
      heap.trim()
      let faults = FaultRecorder.record { heap.free(block) }
      let isExpected = faults.count == 1 && faults[0].kind == kind && faults[0].state == state && faults[0].blockSize == size
      context.require(isExpected, "given back, and freed again, which is a \(kind): reported as \(faults), \(faults.first?.blockSize ?? 0) bytes")
      context.count(1)
    }
    heap.free(block)
    expect("double free", "already free: in the buddy system", 2 << 20)
    guard let small = heap.allocate(64) else { return context.find("no memory") }
    context.require(small == block, "another page is used first")
    heap.free(small)
    expect("invalid pointer", "no block: never allocated, or given back to the system", 0)
  }
}
