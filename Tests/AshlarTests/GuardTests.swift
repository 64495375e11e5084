import AshlarSuite
import Glibc
import Testing

@testable import Ashlar

/// Guarded blocks: what is found, when, and what is said of it.
@Suite(.enabled(if: !isWatched, "AddressSanitizer stops damage at the access")) struct GuardTests {
  private func lines(_ result: ExitTest.Result?) -> [String] {
    String(decoding: result?.standardErrorContent ?? [], as: UTF8.self).split(separator: "\n")
      .map { String($0).replacing(#/0x[0-9a-f]+/#, with: "ADDRESS") }
  }

  @Test func `every kind of damage is found, named and said once`() async {
    await #expect(processExitsWith: .success) {
      PoolAllocator.guards = .init(canaries: 1)
      for damage in DamageCase.all {
        let failure = damage.failure()
        precondition(failure == nil, "\(damage): \(failure!)")
      }
      precondition(DamageCase.all.count > 80)
    }
  }

  @Test func `guarded blocks are drawn where they begin`() async {
    await #expect(processExitsWith: .success) {
      func guarded() -> Int { HeapPicture.ofProcessHeap()?.pages.count { $0 == .guarded } ?? 0 }
      let pool = PoolAllocator()
      pool.deallocate(try pool.allocate(size: 100))
      precondition(guarded() == 0)
      PoolAllocator.guards = .init(canaries: 1)
      for size in [100, 100_000, 2 << 20] { _ = try pool.allocate(size: size) }
      precondition(guarded() == 3, "\(guarded()) pages are drawn as guarded")
    }
  }

  @Test func `a report says where the block was allocated and freed`() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      setenv("ASHLAR_GUARD", "1", 1)
      let block = try PoolAllocator().allocate(size: 100, file: "A/B.swift", line: 3)
      PoolAllocator().deallocate(block)
      block.storeBytes(of: 1, toByteOffset: 99, as: UInt8.self)
      PoolAllocator().trim()
    }
    #expect(lines(result).last == "ashlar: write after free: trim of ADDRESS, small block of 100 B, freed, guarded, at offset 99, "
      + "allocated by A/B.swift:3, freed by return address ADDRESS")
  }

  @Test func `damage that nothing met is found at exit`() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      setenv("ASHLAR_GUARD", "1", 1)
      let block = try PoolAllocator().allocate(size: 3 << 20, file: "A/B.swift", line: 3)
      block.storeBytes(of: 1, toByteOffset: -1, as: UInt8.self)
      exit(0)
    }
    #expect(lines(result).last == "ashlar: underflow: exit of ADDRESS, medium block of 3 MiB, live, guarded, at offset -1, "
      + "allocated by A/B.swift:3")
  }

  @Test(arguments: [(40, 48, "overflow", "live"), (4000, 4000, "overflow", "live"), (64, -4080, "underflow", "live")])
  func `an access beyond a sampled block is stopped`(size: Int, offset: Int, kind: String, state: String) async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) { [size, offset] in
      setenv("ASHLAR_SAMPLE", "1", 1)
      let block = try PoolAllocator().allocate(size: size, file: "A/B.swift", line: 3)
      // Behind a block whose size is no multiple of its alignment lie a few bytes first, which are checked when it is freed.
      let place = offset > 0 ? (size + 15) & ~15 : offset
      precondition(block.load(fromByteOffset: place, as: UInt8.self) == 0)
    }
    let place = offset > 0 ? (size + 15) & ~15 : offset
    #expect(lines(result).last == "ashlar: \(kind): access of ADDRESS, small block of \(size) B, \(state), guarded, at offset \(place), "
      + "allocated by A/B.swift:3")
  }

  @Test func `a use after free of a sampled block is stopped`() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      setenv("ASHLAR_SAMPLE", "1", 1)
      let block = try PoolAllocator().allocate(size: 100, file: "A/B.swift", line: 3)
      PoolAllocator().deallocate(block)
      precondition(block.load(fromByteOffset: 50, as: UInt8.self) == 0)
    }
    #expect(lines(result).last == "ashlar: use after free: access of ADDRESS, small block of 100 B, freed, guarded, at offset 50, "
      + "allocated by A/B.swift:3, freed by return address ADDRESS")
  }

  @Test func `the few bytes behind a sampled block are checked when it is freed`() async {
    await #expect(processExitsWith: .success) {
      try Self.reportsOneOverflow(in: "free") { PoolAllocator().deallocate($0) }
    }
  }

  @Test func `the few bytes behind a sampled block are checked with the whole heap, and reported once`() async {
    await #expect(processExitsWith: .success) {
      try Self.reportsOneOverflow(in: "check") { block in
        precondition(!PoolAllocator().checkInvariants() && PoolAllocator().checkInvariants())
        PoolAllocator().deallocate(block)
      }
    }
  }

  // For a process of its own: the second byte behind a sampled block is written.
  private static func reportsOneOverflow(in operation: String, _ body: (UnsafeMutableRawPointer) -> Void) throws {
    PoolAllocator.guards = .init(pages: 1)
    let seen = UncheckedBox(UnsafeMutablePointer<Int>.allocate(capacity: 1))
    seen.value.initialize(to: 0)
    PoolAllocator.setFaultHandler { fault in
      precondition(fault.kind == "overflow" && fault.offset == 41 && fault.operation == operation, "\(fault)")
      seen.value.pointee += 1
    }
    let block = try PoolAllocator().allocate(size: 40)
    block.storeBytes(of: 1, toByteOffset: 41, as: UInt8.self)
    body(block)
    precondition(seen.value.pointee == 1)
  }

  @Test func `a slot whose page the system would not take is zero for its next user`() async {
    await #expect(processExitsWith: .success) {
      PoolAllocator.guards = .init(pages: 1)
      let pool = PoolAllocator()
      for _ in 0..<(2 * GuardPages<HardwareMemory>.slotCount) {
        let block = try pool.allocateZeroed(size: 1000)
        for offset in 0..<1000 { precondition(block.load(fromByteOffset: offset, as: UInt8.self) == 0) }
        block.initializeMemory(as: UInt8.self, repeating: 7, count: 1000)
        PoolAllocator.injectSystemFault(call: 1, onwards: false)
        pool.deallocate(block)
        PoolAllocator.liftSystemFaults()
      }
    }
  }

  @Test func `an access elsewhere goes to the handler that was there before`() async {
    let result = await #expect(processExitsWith: .exitCode(42), observing: [\.standardErrorContent]) {
      signal(SIGSEGV) { _ in _exit(42) }
      for interval in [1, 0, 5] { PoolAllocator.guards = .init(pages: interval) }
      let page = mmap(nil, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)!
      precondition(page.load(as: UInt8.self) == 0)
    }
    #expect(!lines(result).contains { $0.hasPrefix("ashlar") })
  }

  @Test func `double and invalid frees of guarded blocks are reported and change nothing`() async {
    await #expect(processExitsWith: .success) {
      for guards in [PoolAllocator.Guards(canaries: 1), .init(pages: 1)] {
        PoolAllocator.guards = guards
        for size in [1, 40, 4000, 100_000, 3 << 20, 600 << 20] {
          let pool = PoolAllocator()
          let block = try pool.allocate(size: size)
          let before = pool.statistics().total
          func report(_ body: () -> Void) -> MemoryFault? {
            var reports: [MemoryFault] = []
            reports = recordedFaults(body)
            precondition(reports.count == 1, "\(reports.count) reports")
            return reports.first
          }
          for wrong in [block + 1, block + 16, block - 16] {
            precondition(report { pool.deallocate(wrong) }?.kind == "invalid pointer")
            precondition(report { _ = pool.usableSize(of: wrong) }?.kind == "invalid pointer")
          }
          precondition(report { pool.deallocate(block, size: pool.usableSize(of: block) + 1) }?.kind == "wrong size")
          precondition(pool.statistics().total == before)
          pool.deallocate(block)
          precondition(report { pool.deallocate(block) }?.kind == "double free")
          precondition(report { _ = try? pool.reallocate(block, size: 10) }?.kind == "double free")
        }
      }
      PoolAllocator.guards = .init()
      PoolAllocator().trim()
      precondition(PoolAllocator().statistics().total.liveBlocks == 0 && PoolAllocator().checkInvariants())
    }
  }

  @Test func `huge blocks that are all released are forgotten, guarded or not`() async {
    await #expect(processExitsWith: .success) {
      PoolAllocator.guards = .init(canaries: 1)
      PoolAllocator.isTracking = true
      let pool = PoolAllocator()
      let huge = try (0..<3).map { _ in try pool.allocate(size: 1100 << 20) }
      let small = try pool.allocate(size: 10)
      precondition(pool.releaseAllHugeBlocks() == 3)
      let faults = recordedFaults { pool.deallocate(huge[0]) }
      precondition(faults.count == 1, "\(faults)")
      precondition(PoolAllocator.trackedBlocks == 1, "\(PoolAllocator.trackedBlocks)")
      pool.deallocate(small)
      precondition(pool.checkInvariants() && pool.statistics().total.liveBlocks == 0)
    }
  }

  @Test(arguments: [2, 10, 1000]) func `about one block in so many is taken, and all are counted`(interval: Int) async {
    await #expect(processExitsWith: .success) { [interval] in
      let pool = PoolAllocator()
      pool.deallocate(try pool.allocate(size: 48))
      PoolAllocator.guards = .init(canaries: interval)
      let rounds = 400 * interval
      var taken = 0
      for _ in 0..<rounds {
        let block = try pool.allocate(size: 48)
        // 48 B is a class of its own; only a guarded block has exactly what was asked for elsewhere.
        if ProcessHeap.ready.guardRecord(UserPointer(block)) != nil { taken += 1 }
        pool.deallocate(block)
      }
      precondition(taken > 280 && taken < 520, "\(taken) of \(rounds)")
      let counted = pool.statistics().total
      precondition(counted.allocations == rounds + 1 && counted.liveBlocks == 0, "\(counted)")
      PoolAllocator.guards = .init()
      for _ in 0..<100 { pool.deallocate(try pool.allocate(size: 48)) }
      precondition(pool.statistics().total.allocations == rounds + 101)
    }
  }

  @Test func `samples before a page keep their distance in time`() async {
    await #expect(processExitsWith: .success) {
      PoolAllocator.guards = .init(pages: 2)
      let start = System.milliseconds
      for _ in 0..<200_000 { PoolAllocator().deallocate(try PoolAllocator().allocate(size: 48)) }
      let milliseconds = Int(System.milliseconds - start)
      let samples = ProcessHeap.ready.policy.pageSamples
      precondition(samples > 0 && samples <= milliseconds + 1, "\(samples) samples in \(milliseconds) ms")
      precondition(PoolAllocator().statistics().total.allocations == 200_000)
    }
  }
}

private func recordedFaults(_ body: () -> Void) -> [MemoryFault] {
  nonisolated(unsafe) var faults: [MemoryFault] = []
  PoolAllocator.setFaultHandler { faults.append($0) }
  body()
  PoolAllocator.setFaultHandler(nil)
  return faults
}
