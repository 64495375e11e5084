import Ashlar
import Glibc

extension Check {
  static let strict = Check(
    "strict", "units made writable on first use: each refusal leaves a heap whose whole region can still be had"
  ) { context in
    // Eight calls a unit.
    for call in 1...30 {
      let made = OwnHeap.with(OwnHeap.switches(region: 8 << 20) { $0.strict = true }) { heap in
        PoolAllocator.injectSystemFault(call: call, onwards: false)
        for size in [2 << 20, 100, 1 << 20, 4 << 20] {
          guard let block = heap.allocate(size) else { continue }
          block.storeBytes(of: 1, as: UInt8.self)
          block.storeBytes(of: 1, toByteOffset: size - 1, as: UInt8.self)
          heap.free(block)
        }
        PoolAllocator.liftSystemFaults()
        let blocks = (0..<4).compactMap { _ in heap.allocate(2 << 20) }
        context.require(blocks.count == 4, "call \(call) refused: only \(blocks.count) of 4 blocks are left")
        for block in blocks { memset(block, 0xA5, 2 << 20) }
        blocks.forEach(heap.free)
        context.require(heap.checkInvariants(), "call \(call) refused: the heap's records do not agree")
        context.count(1)
      }
      context.require(made, "no heap")
    }
    // A unit is writable as a whole or not at all, so that nothing grows into one.
    let made = OwnHeap.with(OwnHeap.switches(region: 8 << 20) { $0.strict = true }) { heap in
      let calls = SystemFaults.callCount
      guard let block = heap.allocate(100_000) else { return context.find("no memory") }
      context.require(SystemFaults.callCount > calls, "a unit is writable before it is used")
      guard case .done(let grown) = heap.reallocate(UserPointer(block), Request(size: 300_000), site: .unknown) else { return context.find("no memory") }
      context.require(heap.level(of: grown) == .small, "a block grows into a unit, all of which counts")
      heap.free(grown)
    }
    context.require(made, "no heap")
  }

  static let listingRefused = Check(
    "listing-refused", "a mapping, or a guarded block, whose record finds no room is given back"
  ) { context in
    let made = OwnHeap.with(OwnHeap.switches(region: 4 << 20)) { heap in
      let before = ProcessMemory.mapped
      PoolAllocator.injectSystemFault(call: 2, onwards: false)
      let block = heap.allocate(600 << 20)
      PoolAllocator.liftSystemFaults()
      context.require(block == nil, "a block that can't be listed is handed out")
      context.require(ProcessMemory.mapped - before < 500 << 20, "its addresses are lost")
      context.require(heap.checkInvariants(), "the heap's records do not agree")
    }
    let guarded = OwnHeap.with(OwnHeap.switches(region: 4 << 20)) { heap in
      heap.setGuards(canaries: 1, pages: 0)
      PoolAllocator.injectSystemFault(call: 1, onwards: false)
      let block = heap.allocate(1 << 20)
      PoolAllocator.liftSystemFaults()
      context.require(block != nil, "no block without a record of guards")
      if let block { heap.free(block) }
      let live = heap.statistics().total.liveBlocks
      context.require(live == 0, "\(live) guarded blocks are lost that found no room")
    }
    context.require(made && guarded, "no heap")
    context.count(2)
  }

  static let zeroed = Check(
    "zeroed", "zeroed blocks in memory that was used by another level, or that the system refused to purge"
  ) { context in
    for refused in [false, true] {
      for (first, second) in [(1 << 20, 2 << 20), (64 << 10, 2 << 20), (2 << 20, 2 << 20), (4 << 20, 1 << 20)] {
        let made = OwnHeap.with(OwnHeap.switches(region: 4 << 20)) { heap in
          func all(_ size: Int, zeroed: Bool) -> [UnsafeMutableRawPointer] {
            var blocks: [UnsafeMutableRawPointer] = []
            while let block = heap.allocate(size, zeroed: zeroed) { blocks.append(block) }
            return blocks
          }
          let blocks = all(first, zeroed: false)
          for block in blocks { memset(block, 0xA5, first) }
          blocks.forEach(heap.free)
          if refused {
            PoolAllocator.injectSystemFault(call: 1, onwards: true)
            heap.trim()
            PoolAllocator.liftSystemFaults()
          }
          let fresh = all(second, zeroed: true)
          context.require(fresh.count == (4 << 20) / second, "\(fresh.count) blocks of \(second) bytes")
          for block in fresh where Pattern.firstNonZero(block, 0..<second) != nil {
            context.find("a zeroed block of \(second) holds what one of \(first) held\(refused ? ", purge refused" : "")")
          }
          fresh.forEach(heap.free)
          context.count(fresh.count)
        }
        context.require(made, "no heap")
      }
    }
    for interval in [0, 1] { context.require(OwnHeap.with(OwnHeap.switches(region: 128 << 20)) { needlessZeroes($0, interval, context) }, "no heap") }
  }

  // What is zero already is not touched, and what nobody asked to be zero stays what it was.
  private static func needlessZeroes(_ heap: Heap<HardwareMemory>, _ interval: Int, _ context: CheckContext) {
    heap.setGuards(canaries: interval, pages: 0)
    // What AddressSanitizer and memcheck keep of each byte is touched all the same.
    for size in [60 << 20, 600 << 20] where !MemoryMarks().matter {
      let resident = ProcessMemory.resident
      guard let block = heap.allocate(size, zeroed: true) else { return context.find("no memory") }
      let grown = ProcessMemory.resident - resident
      context.require(grown < 16 << 20, "\(grown) bytes are touched for \(size) that are zero already, guards \(interval)")
      heap.free(block)
    }
    heap.setGuards(canaries: 0, pages: 0)
    guard let block = heap.allocate(1000) else { return context.find("no memory") }
    memset(block, 0xA5, 1000)
    heap.free(block)
    let again = heap.allocate(1000)
    context.require(again == block && block.load(fromByteOffset: 500, as: UInt8.self) == 0xA5, "a block is cleared for nobody")
    if let again { heap.free(again) }
    context.count(3)
  }

  static let refusedUnmaps = Check(
    "refused-unmaps", "mappings that the system takes back late: their contents go at once, 64 addresses are kept in mind"
  ) { context in
    let pool = PoolAllocator()
    let size = 1 << 20
    let count = 70
    func mappings(_ count: Int) -> [UnsafeMutableRawPointer] {
      (0..<count).compactMap { _ in pool.allocateIfPossible(size: size, alignment: 1 << 17) }
    }
    // What goes first takes back whatever is pending by now.
    mappings(1).forEach { pool.deallocate($0) }
    let blocks = mappings(count)
    context.require(blocks.count == count, "no memory")
    for block in blocks { memset(block, 1, size) }
    let (resident, mapped) = (ProcessMemory.resident, ProcessMemory.mapped)
    for block in blocks {
      PoolAllocator.injectSystemFault(call: 1, onwards: false)
      pool.deallocate(block)
    }
    PoolAllocator.liftSystemFaults()
    let kept = count - (resident - ProcessMemory.resident) / size
    context.require(kept < 8, "the contents of \(kept) mappings are kept")
    mappings(1).forEach { pool.deallocate($0) }
    let returned = (mapped - ProcessMemory.mapped + size / 2) / size
    context.require(returned == 64, "\(returned) of \(count) mappings are given back later, not 64")
    context.count(count)
  }

  static let trackerRefused = Check(
    "tracker-refused", "blocks that the tracker finds no room for are counted in its report"
  ) { context in
    let pool = PoolAllocator()
    PoolAllocator.isTracking = true
    // From a cache, so that the only call to the system is the table's.
    var blocks = (0..<10).compactMap { _ in pool.allocateIfPossible(size: 24) }
    blocks.forEach { pool.deallocate($0) }
    for count in [3, 1, 0] {
      PoolAllocator.isTracking = false
      PoolAllocator.isTracking = true
      PoolAllocator.injectSystemFault(call: 1, onwards: true)
      blocks = (0..<count).compactMap { _ in pool.allocateIfPossible(size: 24) }
      PoolAllocator.liftSystemFaults()
      let text = StandardError.captured { PoolAllocator.reportLeaks() }
      let isSaid = text.contains("not recorded for want of memory: \(count)\n")
      context.require(isSaid == (count > 0) && text.contains("want of memory") == (count > 0), "\(count) not recorded: the report says: \(text)")
      blocks.forEach { pool.deallocate($0) }
      context.count(1)
    }
    PoolAllocator.isTracking = false
  }
}
