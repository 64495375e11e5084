import Ashlar
import Glibc

extension Check {
  static let outOfMemory = Check(
    "out-of-memory", "each memory call to the system fails, once and from then on, in every scenario until none is left"
  ) { context in
    for (number, scenario) in Scenario.all.enumerated() {
      // Once whole: what is mapped for good is mapped.
      _ = scenario.survives(failing: nil, onwards: false, context)
      let before = ProcessMemory.mapped
      for onwards in [false, true] {
        var call = 1
        while call < 10_000, scenario.survives(failing: call, onwards: onwards, context) { call += 1 }
        context.count(call)
      }
      // The C library reserves whole arenas of 64 MiB for threads of its own choosing: those are not ours.
      let growth = max(0, ProcessMemory.mapped - before) % (64 << 20)
      // What a watcher of memory keeps, neither.
      context.require(growth < (Surroundings.replaceMalloc ? 32 : 8) << 20, "\(scenario.name): \(growth >> 10) KiB of address space are lost")
      context.advance(number, of: Scenario.all.count)
    }
    context.require(PoolAllocator().checkInvariants(), "the heap's records do not agree")
  }
}

/// Work during which system calls fail.
private struct Scenario: Sendable {
  let name: String
  private let guards: PoolAllocator.Guards
  private let isTracking: Bool
  private let body: @Sendable (inout Oracle) -> Void

  private init(
    _ name: String, guards: PoolAllocator.Guards = .init(), isTracking: Bool = false, _ body: @escaping @Sendable (inout Oracle) -> Void
  ) {
    self.name = name
    self.guards = guards
    self.isTracking = isTracking
    self.body = body
  }

  static let all: [Scenario] = [
    Scenario("every level", everyLevel),
    Scenario("every level, guarded", guards: .init(canaries: 1), everyLevel),
    Scenario("every level, tracked", isTracking: true, everyLevel),
    Scenario("a slot before a page", guards: .init(pages: 1)) { oracle in
      for size in [1, 100, 4000] { oracle.allocate(size: size) }
      if !oracle.live.isEmpty { oracle.free(0) }
    },
    Scenario("resizing mappings") { oracle in
      oracle.allocate(size: 600 << 20)
      for size in [700 << 20, 1100 << 20, 550 << 20, 100, 600 << 20] where !oracle.live.isEmpty {
        oracle.reallocate(0, size: size)
      }
    },
    Scenario("resizing an aligned mapping") { oracle in
      oracle.allocate(size: 600 << 20, alignment: 1 << 21)
      for size in [700 << 20, 550 << 20] where !oracle.live.isEmpty { oracle.reallocate(0, size: size) }
    },
    Scenario("alignment beyond pages") { oracle in
      for exponent in [13, 17, 21, 30] { oracle.allocate(size: 5000, alignment: 1 << exponent) }
    },
    Scenario("tables that grow", guards: .init(canaries: 1), isTracking: true) { oracle in
      for _ in 0..<600 { oracle.allocate(size: 10) }
    },
    Scenario("a thread begins and ends") { _ in
      Threads.run(2) { thread in
        var oracle = Oracle(SwiftSubject(), seed: UInt64(thread))
        for size in [16, 500, 20_000, 1 << 20] { oracle.allocate(size: size) }
        oracle.freeAll()
        precondition(oracle.findings.isEmpty, "\(oracle.findings)")
      }
    },
    Scenario("memory given back") { oracle in
      for round in 0..<200 { oracle.allocate(size: round * 400) }
      oracle.freeAll()
      PoolAllocator().trim()
    },
    Scenario("object pools") { _ in objectPools(PoolAllocator()) },
    Scenario("arenas") { _ in arenas(PoolAllocator()) },
    Scenario("memory on chosen nodes") { _ in
      guard let allocator = try? NUMAAllocator(.interleave()) else { return }
      objectPools(allocator)
      arenas(allocator)
    },
  ]

  // The first lies in small and medium blocks, the second in a mapping.
  private static func objectPools(_ allocator: any BlockAllocator) {
    for capacity in [10_000, 10_000_000] {
      guard let pool = try? ObjectPool<(Int, Int, Int, Int, Int, Int, Int, Int)>(capacity: capacity, allocator: allocator) else { continue }
      let objects = (0..<100).compactMap { _ in pool.allocateIfPossible() }
      precondition(objects.count == 100, "a pool that was made has no room")
      // Looking at ten million tags takes longer than all the rest.
      precondition(capacity > 10_000 || pool.checkInvariants(), "an object pool's records do not agree")
      for object in objects { object.pointee.7 = 1 }
      objects.forEach { pool.deallocate($0) }
    }
  }

  private static func arenas(_ allocator: any BlockAllocator) {
    guard let arena = try? Arena(allocator: allocator) else { return }
    var granted: [(start: UnsafeMutableRawPointer, size: Int)] = []
    for size in [100, 20_000, 3, 700_000, 2 << 20, 600 << 20, 100] {
      guard let block = try? arena.allocate(size: size) else { continue }
      block.storeBytes(of: UInt8(truncatingIfNeeded: size), as: UInt8.self)
      granted.append((block, size))
    }
    // A refusal leaves what was granted before as it was.
    precondition(granted.allSatisfy { $0.start.load(as: UInt8.self) == UInt8(truncatingIfNeeded: $0.size) }, "bytes changed")
    precondition(arena.checkInvariants(), "an arena's records do not agree")
    arena.reset()
  }

  @Sendable private static func everyLevel(_ oracle: inout Oracle) {
    for size in [16, 100, 3000, 70_000, 1 << 20, 2 << 20, 600 << 20] { oracle.allocate(size: size, alignment: 64) }
    for size in [16, 3000] { oracle.allocate(size: size, alignment: 1 << 17, zeroed: true) }
    if !oracle.live.isEmpty { oracle.reallocate(0, size: 200_000) }
    if !oracle.live.isEmpty { oracle.free(oracle.live.count / 2) }
    // Nothing is lost with a refusal, and it says what it is.
    errno = 0
    if let block = ashlarMalloc(600 << 20) { ashlarFree(block) } else { precondition(errno == ENOMEM) }
    PoolAllocator().trim()
  }

  /// The scenario with the `call`th system call failing; nil for none. False when it needed fewer calls.
  func survives(failing call: Int?, onwards: Bool, _ context: CheckContext) -> Bool {
    let pool = PoolAllocator()
    let place = "\(name), call \(call ?? 0)\(onwards ? " onwards" : "")"
    PoolAllocator.guards = guards
    PoolAllocator.isTracking = isTracking
    pool.trim()
    let live = pool.statistics().total.liveBlocks
    // Of large blocks only the ends are touched.
    var oracle = Oracle(SwiftSubject(), seed: 1, wholeBelow: 1 << 20)
    let calls = PoolAllocator.systemCallCount
    if let call { PoolAllocator.injectSystemFault(call: call, onwards: onwards) }
    body(&oracle)
    PoolAllocator.liftSystemFaults()
    let needed = PoolAllocator.systemCallCount - calls
    context.require(pool.checkInvariants(), "\(place): the heap's records do not agree")
    context.close(&oracle)
    for size in [100, 2 << 20, 600 << 20] {
      guard let block = pool.allocateIfPossible(size: size) else {
        context.find("\(place): no block of \(size) B afterwards")
        continue
      }
      pool.deallocate(block)
    }
    PoolAllocator.isTracking = false
    PoolAllocator.guards = .init()
    pool.trim()
    context.require(pool.statistics().total.liveBlocks == live, "\(place): blocks are left over")
    context.require(pool.checkInvariants(), "\(place): the heap's records do not agree afterwards")
    guard let call else { return true }
    return needed >= call
  }
}
