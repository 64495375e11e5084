import Ashlar
import CAshlar
import Glibc

extension Check {
  static let numa = Check(
    "numa", "memory local, interleaved and bound: where the kernel says that each page lies, for blocks, pools and arenas"
  ) { context in
    let nodes = NUMA.nodes
    // A kernel without NUMA, or a sandbox that forbids these calls: there is nothing to ask.
    guard !nodes.isEmpty else {
      do throws(NUMAError) {
        _ = try NUMAAllocator(.local)
        context.find("memory is placed although the system tells of no nodes")
      } catch { context.require(error == .unavailable, "\(error) where the system tells of no nodes") }
      return context.note("the system tells of no nodes")
    }
    context.note(nodes.count == 1 ? "one node: \(nodes[0])" : "\(nodes.count) nodes: \(nodes)")
    var policies: [NUMAPolicy] = [.local, .interleave(), .bind(to: Set(nodes))]
    for node in nodes { policies += [.bind(to: [node]), .interleave(over: [node])] }
    for policy in policies {
      do throws(NUMAError) {
        let allocator = try NUMAAllocator(policy)
        let saysSo = allocator.description.contains("there is one node")
        context.require(saysSo == (nodes.count == 1), "\(nodes.count) nodes: '\(allocator)'")
        placeBlocks(allocator, context)
        placePool(allocator, context)
        placeArena(allocator, context)
      } catch { context.find("\(policy): \(error)") }
    }
  }

  // The policy that the kernel has for a block, and the node of each of its pages once it is touched.
  private static func placeBlocks(_ allocator: NUMAAllocator, _ context: CheckContext) {
    for (size, alignment) in [(100, 16), (900_000, 16), (100_000, 1 << 16), (32 << 20, 16)] {
      guard let block = allocator.allocateIfPossible(size: size, alignment: alignment) else {
        context.find("\(allocator): no \(size) bytes")
        continue
      }
      context.require(UInt(bitPattern: block) % UInt(alignment) == 0, "\(allocator): a block lies at \(block)")
      context.require(NUMA.node(of: block) == nil, "\(allocator): an untouched page lies on a node")
      requirePlaced(UnsafeMutableRawBufferPointer(start: block, count: size), allocator, context)
      guard let larger = try? allocator.reallocate(block, size: size * 2) else {
        context.find("\(allocator): a block can't be resized")
        allocator.deallocate(block)
        continue
      }
      requirePlaced(UnsafeMutableRawBufferPointer(start: larger, count: size * 2), allocator, context)
      allocator.deallocate(larger, size: size * 2)
    }
  }

  private static func requirePlaced(_ bytes: UnsafeMutableRawBufferPointer, _ allocator: NUMAAllocator, _ context: CheckContext) {
    let pages = stride(from: 0, to: bytes.count, by: System.pageBytes).map { bytes.baseAddress! + $0 }
    context.require(NUMA.policy(of: pages[0]) == allocator.policy, "\(allocator): the kernel says \(NUMA.policy(of: pages[0]) as Any)")
    for page in pages { page.storeBytes(of: 1, as: UInt8.self) }
    let nodes = NUMA.nodes(of: pages.map { UnsafeRawPointer($0) })
    let counts = Dictionary(grouping: nodes) { $0 }.mapValues(\.count)
    context.count(pages.count)
    switch allocator.policy {
    case .local: context.require(counts[nil] == nil, "\(allocator): \(counts)")
    case .bind(let allowed):
      context.require(counts.keys.allSatisfy { $0.map(allowed.contains) ?? false }, "\(allocator): \(counts)")
    case .interleave(let allowed):
      // Page by page in turn, so each node has as many, or one more; a huge page, of 2 MiB or more, goes to one node.
      let each = pages.count / allowed.count
      let fewest = bytes.count < 2 << 20 ? each : each / 4
      let most = bytes.count < 2 << 20 ? each + 1 : pages.count
      let isEven = counts.values.allSatisfy { (fewest...most).contains($0) }
      context.require(isEven && counts.keys.allSatisfy { $0.map(allowed.contains) ?? false }, "\(allocator): \(counts)")
      context.require(counts.count == min(allowed.count, pages.count), "\(allocator): \(counts)")
    }
  }

  private static func placePool(_ allocator: NUMAAllocator, _ context: CheckContext) {
    guard let pool = try? ObjectPool<(Int, Int)>(capacity: 10_000, allocator: allocator) else {
      return context.find("\(allocator): no pool")
    }
    guard (try? pool.preallocate(5000)) != nil, let first = pool.allocateIfPossible() else {
      return context.find("\(allocator): no object")
    }
    context.require(NUMA.node(of: first) != nil, "\(allocator): an object that was preallocated is not there")
    context.require(NUMA.node(of: first + 4999) != nil, "\(allocator): the last object that was preallocated is not there")
    context.require(NUMA.node(of: first + 9000) == nil, "\(allocator): an object is there that was not preallocated")
    let others = (1..<10_000).compactMap { _ in pool.allocateIfPossible() }
    context.require(others.count == 9999, "\(allocator): \(others.count + 1) objects of 10000")
    requirePlaced(UnsafeMutableRawBufferPointer(start: first, count: 160_000), allocator, context)
    preallocateToTheLast(allocator, context)
  }

  // A last page of which only a few bytes are preallocated.
  private static func preallocateToTheLast(_ allocator: NUMAAllocator, _ context: CheckContext) {
    let (page, slots) = (System.pageBytes, System.pageBytes / 16)
    guard let pool = try? ObjectPool<(Int, Int)>(capacity: 10_000, allocator: allocator) else { return context.find("\(allocator): no pool") }
    let objects = (0..<slots - 6).compactMap { _ in pool.allocateIfPossible() }
    guard objects.count == slots - 6, (try? pool.preallocate(slots + 12)) != nil else { return context.find("\(allocator): no object") }
    let last = UnsafeRawPointer(objects[0]) + 2 * page
    context.require(NUMA.node(of: last) != nil, "\(allocator): the page of the last objects that were preallocated is not there")
    context.require(NUMA.node(of: last + page) == nil, "\(allocator): a page is there of which nothing was preallocated")
  }

  private static func placeArena(_ allocator: NUMAAllocator, _ context: CheckContext) {
    guard let arena = try? Arena(chunkSize: 1 << 20, allocator: allocator) else { return context.find("\(allocator): no arena") }
    guard let block = try? arena.allocate(size: 900_000, alignment: 4096) else { return context.find("\(allocator): no memory") }
    requirePlaced(UnsafeMutableRawBufferPointer(start: block, count: 900_000), allocator, context)
  }

  static let numaMisuse = Check(
    "numa-misuse", "nodes that are not there, calls that the system refuses, blocks freed wrongly: one clear answer each"
  ) { context in
    guard !NUMA.nodes.isEmpty else { return context.note("the system tells of no nodes") }
    let missing = (0..<1024).first { !NUMA.nodes.contains($0) }!
    func expect(_ expected: NUMAError, _ policy: NUMAPolicy) {
      do throws(NUMAError) {
        context.find("\(try NUMAAllocator(policy)) was granted")
      } catch { context.require(error == expected, "\(policy): \(error), not \(expected)") }
      context.count(1)
    }
    for node in [missing, 1023, 1024, Int.max, -1, Int.min] where !NUMA.nodes.contains(node) {
      expect(.noSuchNode(node), .bind(to: [node]))
      expect(.noSuchNode(node), .interleave(over: [node, NUMA.nodes[0]]))
    }
    expect(.noNodes, .bind(to: []))
    expect(.noNodes, .interleave(over: []))
    refuseCalls(context)
    guard let allocator = try? NUMAAllocator(.local) else { return context.find("no allocator") }
    misuse(allocator, context)
    endWithLiveBlocks(context)
  }

  private static func refuseCalls(_ context: CheckContext) {
    // The heap has started before anything is counted.
    PoolAllocator().trim()
    let mapped = ProcessMemory.mapped
    for call in 1...3 {
      PoolAllocator.injectSystemFault(call: call, onwards: true)
      let expected: NUMAError = call == 2 ? .outOfMemory : .unavailable
      do throws(NUMAError) {
        context.find("\(try NUMAAllocator(.local)) was granted while call \(call) fails")
      } catch { context.require(error == expected, "call \(call) fails: \(error), not \(expected)") }
      PoolAllocator.liftSystemFaults()
    }
    guard let allocator = try? NUMAAllocator(.local) else { return context.find("no allocator") }
    // The block, its record, its placement.
    for call in 1...3 {
      PoolAllocator.injectSystemFault(call: call, onwards: false)
      context.require(allocator.allocateIfPossible(size: 64 << 20) == nil, "a block was granted while call \(call) fails")
      PoolAllocator.liftSystemFaults()
    }
    context.require(ProcessMemory.mapped - mapped < 32 << 20, "address space is lost")
    context.count(6)
  }

  private static func misuse(_ allocator: NUMAAllocator, _ context: CheckContext) {
    guard let block = allocator.allocateIfPossible(size: 100), let freed = allocator.allocateIfPossible(size: 100) else {
      return context.find("no block")
    }
    allocator.deallocate(freed)
    let page = System.pageBytes
    let cases: [(UnsafeMutableRawPointer, String, String)] = [
      (freed, "double free", "already free: returned to the system"), (block + 8, "invalid pointer", "inside a block"),
      (UnsafeMutableRawPointer(bitPattern: 64)!, "invalid pointer", "not from this allocator"),
    ]
    for (address, kind, state) in cases {
      let calls: [(String, () -> Void)] = [
        ("free", { allocator.deallocate(address) }), ("sized free", { allocator.deallocate(address, size: 1) }),
        ("usable size", { context.require(allocator.usableSize(of: address) == 0, "usable bytes of no block") }),
        ("reallocate", { context.require((try? allocator.reallocate(address, size: 10)) == nil, "no block was resized") }),
      ]
      for (operation, call) in calls {
        let faults = FaultRecorder.record(call).map(\.description)
        let expected = ["\(kind): \(operation) of \(hex(UInt(bitPattern: address))), \(state)"]
        context.require(faults == expected, "\(faults), not \(expected)")
        context.count(1)
      }
    }
    let faults = FaultRecorder.record { allocator.deallocate(block, size: page + 1) }
    context.require(faults.map(\.kind) == ["wrong size"] && allocator.usableSize(of: block) == page, "a sized free too large: \(faults)")
    // What the system does not resize in place is copied.
    block.storeBytes(of: 0x5A, toByteOffset: 7, as: UInt8.self)
    PoolAllocator.injectSystemFault(call: 1, onwards: false)
    let copied = try? allocator.reallocate(block, size: 3 * page)
    PoolAllocator.liftSystemFaults()
    context.require(copied?.load(fromByteOffset: 7, as: UInt8.self) == 0x5A, "a block that was copied has lost its contents")
    requireGone(block, from: allocator, context)
    guard let block = copied.flatMap({ try? allocator.reallocate($0, size: page) }) else { return context.find("no block") }
    let mapped = ProcessMemory.mapped
    for _ in 0..<200 {
      guard let other = try? NUMAAllocator(.local) else { return context.find("no allocator") }
      other.deallocate(other.allocateIfPossible(size: 1))
    }
    context.require(ProcessMemory.mapped - mapped < 200 * page, "an allocator of nodes leaves \(ProcessMemory.mapped - mapped) bytes behind")
    let negative = FaultRecorder.record { allocator.deallocate(block, size: -1) }
    context.require(negative.map(\.kind) == ["wrong size"], "a sized free of less than nothing: \(negative)")
    let empty = try? allocator.allocate(size: 0)
    let same = empty.flatMap { try? allocator.reallocate($0, size: 0) }
    context.require(empty != nil && same != nil, "no bytes are refused")
    allocator.deallocate(same)
    context.require((try? allocator.allocate(size: -1)) == nil && (try? allocator.allocate(size: 1, alignment: 3)) == nil, "bad input is granted")
    context.require((try? allocator.reallocate(block, size: -1)) == nil && allocator.allocateIfPossible(size: .max) == nil, "bad input is granted")
    allocator.deallocate(nil)
    context.require(allocator.usableSize(of: nil) == 0, "null has usable bytes")
  }

  static let nodeSets = Check("node-sets", "sets of nodes as words; blocks of an allocator of nodes that move give their memory back") { context in
    for nodes: Set<Int> in [[], [0], [1], [63], [64], [0, 5, 70, 1023]] {
      let found = NUMA.withNodeWords(nodes) { words in Set((0..<1024).filter { words[$0 / 64] & 1 << UInt($0 % 64) != 0 }) }
      context.require(found == nodes, "the set \(nodes.sorted()) is \(found.sorted())")
      let read = NUMA.withNodeWords(nodes) { NUMA.set($0) }
      context.require(read == nodes, "the set \(nodes.sorted()) is read as \(read.sorted())")
      context.count(1)
    }
    let told = NUMA.withNodeWords { words in
      ashlar_os_allowed_nodes(words) == 0 ? (0..<System.nodeWords).reduce(0) { $0 + words[$1].nonzeroBitCount } : 0
    }
    context.require(NUMA.nodes.count == told, "of \(told) nodes \(NUMA.nodes) are known")
    guard !NUMA.nodes.isEmpty, let allocator = try? NUMAAllocator(.local) else { return context.note("the system tells of no nodes") }
    guard var block = allocator.allocateIfPossible(size: 1 << 20, alignment: 1 << 17) else { return context.find("no block") }
    let mapped = ProcessMemory.mapped
    for round in 0..<100 {
      block.storeBytes(of: round, as: Int.self)
      guard let moved = try? allocator.reallocate(block, size: (1 + round % 2) << 21, alignment: 1 << 17, file: #fileID, line: #line) else {
        return context.find("a block can't be moved")
      }
      context.require(moved.load(as: Int.self) == round, "a block that was moved has changed")
      block = moved
    }
    for size in [0, 1, System.pageBytes] {
      let block = allocator.allocateIfPossible(size: 1)
      let faults = FaultRecorder.record { allocator.deallocate(block, size: size) }
      context.require(faults.isEmpty, "sizes that a block has are refused: \(faults)")
      requireGone(block, from: allocator, context)
    }
    let growth = ProcessMemory.mapped - mapped
    context.require(growth < 32 << 20, "\(growth >> 20) MiB of blocks that moved are lost")
    allocator.deallocate(block)
  }

  private static func requireGone(_ block: UnsafeMutableRawPointer?, from allocator: NUMAAllocator, _ context: CheckContext) {
    let faults = FaultRecorder.record { _ = allocator.usableSize(of: block) }
    context.require(faults.map(\.kind) == ["double free"], "a block that was freed is still there: \(faults)")
    context.count(1)
  }

  // What is live when an allocator's life ends goes with it.
  private static func endWithLiveBlocks(_ context: CheckContext) {
    let mapped = ProcessMemory.mapped
    for _ in 0..<8 {
      guard let allocator = try? NUMAAllocator(.local) else { return context.find("no allocator") }
      _ = allocator.allocateIfPossible(size: 64 << 20)
    }
    context.require(ProcessMemory.mapped - mapped < 256 << 20, "blocks outlive their allocator")
    context.count(8)
  }
}
