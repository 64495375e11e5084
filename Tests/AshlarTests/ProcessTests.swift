import AshlarSuite
import Foundation
import Glibc
import Testing

@testable import Ashlar

/// What needs a process of its own: switches, exit, fork, a heap that nobody else uses.
@Suite struct ProcessTests {
  private func errors(_ result: ExitTest.Result?) -> String {
    String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
  }

  @Test(arguments: [
    ("ASHLAR_REGION=1G", \Switches.region, 1 << 30), ("ASHLAR_REGION=64M", \Switches.region, 64 << 20),
    ("ASHLAR_REGION=1t", \Switches.region, 1 << 40), ("ASHLAR_CACHE=0", \Switches.cachePercent, 0),
    ("ASHLAR_DEPOT=16k", \Switches.depot, 16 << 10), ("ASHLAR_SURPLUS=4M", \Switches.surplus, 4 << 20), ("ASHLAR_RETAIN=0", \Switches.retain, 0),
    ("ASHLAR_DELAY=5", \Switches.delay, 5), ("OTHER=5", \Switches.delay, 1000), ("ASHLAR_DELAYED=5", \Switches.delay, 1000),
  ] as [(String, KeyPath<Switches, Int> & Sendable, Int)])
  func `a switch is read`(entry: String, path: KeyPath<Switches, Int> & Sendable, expected: Int) {
    var switches = Switches()
    switches.apply(entry)
    #expect(switches[keyPath: path] == expected)
  }

  @Test(.timeLimit(.minutes(1))) func `a program that has run long enough is stopped with the children it left`() throws {
    let script = "( while :; do :; done ) & echo $!"
    let run = try ChildProcess.run(URL(filePath: "/bin/sh"), ["-c", script], seconds: 1)
    #expect(run.end == .timeout)
    let child = try #require(pid_t(run.output.filter(\.isNumber)))
    var tries = 0
    while isRunning(child), tries < 1000 {
      usleep(10_000)
      tries += 1
    }
    #expect(!isRunning(child))
  }

  @Test func `a switch that makes no sense is reported and ignored`() async {
    let result = await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
      var switches = Switches()
      for entry in [
        "ASHLAR_REGION=", "ASHLAR_REGION=1M", "ASHLAR_REGION=2T", "ASHLAR_REGION=lots", "ASHLAR_REGION=1GB",
        "ASHLAR_CACHE=101", "ASHLAR_CACHE=-1", "ASHLAR_TRACK=2", "ASHLAR_TRACK=yes", "ASHLAR_DELAY=99999999999999999999",
      ] { switches.apply(entry) }
      precondition(switches.region == 256 << 30 && switches.cachePercent == 100 && !switches.track && switches.delay == 1000)
    }
    let lines = errors(result).split(separator: "\n")
    #expect(lines.count == 10)
    #expect(lines.allSatisfy { $0.hasPrefix("ashlar: ASHLAR_") && $0.contains("makes no sense and is ignored: ") })
    #expect(lines.first == "ashlar: ASHLAR_REGION= makes no sense and is ignored: 4194304 to 1099511627776 is what it takes")
  }

  @Test func `counters and leaks are printed at exit when asked for`() async {
    let result = await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
      setenv("ASHLAR_STATISTICS", "1", 1)
      setenv("ASHLAR_TRACK", "1", 1)
      let pool = PoolAllocator()
      for _ in 0..<3 { _ = try pool.allocate(size: 100, file: "Some/File.swift", line: 12) }
      _ = try pool.allocate(size: 5 << 20, file: "Some/File.swift", line: 13)
      pool.deallocate(try pool.allocate(size: 100))
      exit(0)
    }
    let lines = Set(errors(result).split(separator: "\n"))
    #expect(lines.isSuperset(of: [
      "ashlar: small: 4 allocations, 1 frees, 3 live, 336 bytes live",
      "ashlar: medium: 1 allocations, 0 frees, 1 live, 8388608 bytes live",
      "ashlar: class 112 B: 4 allocations, 1 frees, 3 live, 336 bytes live",
      "ashlar: 4 blocks live, 5243180 bytes",
      "ashlar:   3 small blocks, 300 bytes, from Some/File.swift:12",
      "ashlar:   1 medium block, 5242880 bytes, from Some/File.swift:13",
    ]))
    let free = lines.filter { $0.hasPrefix("ashlar: free: ") }
    #expect(free.count == 1 && free.first?.contains(/free: \d+ bytes in caches, \d+ in global stacks, \d+ in slabs, \d+ in pages, \d+ in units$/) == true)
  }

  @Test func `the tracker knows C calls by their return address`() async {
    let result = await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
      PoolAllocator.isTracking = true
      let block = ashlarMalloc(50)
      precondition(PoolAllocator.reportLeaks() == 1)
      ashlarFree(block)
      // A block that crosses from one level to another is known, and counted, on the one that it is on.
      let large = ashlarRealloc(ashlarMalloc(900 << 20), 1500 << 20)
      let counted = PoolAllocator().statistics()
      precondition(counted.huge.allocations == 1 && counted.huge.frees == 0 && counted.large.frees == 0)
      precondition(PoolAllocator.reportLeaks() == 1)
      ashlarFree(large)
      precondition(PoolAllocator.reportLeaks() == 0)
    }
    #expect(errors(result).contains(#/ashlar:   1 small block, 50 bytes, from return address 0x[0-9a-f]+/#))
    #expect(errors(result).contains("ashlar:   1 huge block, 1572864000 bytes, from return address"))
  }

  @Test func `many first calls at once start one heap`() async {
    await #expect(processExitsWith: .success) {
      Threads.run(8) { _ in
        let block = PoolAllocator().allocateIfPossible(size: 100)
        precondition(block != nil)
        PoolAllocator().deallocate(block)
      }
      precondition(PoolAllocator().statistics().total.allocations == 8 && PoolAllocator().checkInvariants())
    }
  }

  @Test func `every system call of the first allocation may fail`() async {
    await #expect(processExitsWith: .success) {
      var call = 1
      PoolAllocator.injectSystemFault(call: call, onwards: false)
      while PoolAllocator().allocateIfPossible(size: 100) == nil {
        call += 1
        precondition(call < 100)
        PoolAllocator.injectSystemFault(call: 1, onwards: true)
        precondition(PoolAllocator().allocateIfPossible(size: 100) == nil)
        PoolAllocator.injectSystemFault(call: call, onwards: false)
      }
      PoolAllocator.liftSystemFaults()
      precondition(call > 1 && PoolAllocator().checkInvariants())
    }
  }

  @Test func `threads that come and go leave nothing behind`() async {
    await #expect(processExitsWith: .success) {
      for _ in 0..<300 {
        Threads.run(4) { thread in
          let blocks = (1...50).map { PoolAllocator().allocateIfPossible(size: $0 * 100)! }
          blocks.forEach { PoolAllocator().deallocate($0) }
        }
      }
      var caches = 0
      ProcessHeap.ready.registry.visit { _ in caches += 1; return true }
      precondition(caches <= 8, "\(caches) caches for 4 threads at once")
      precondition(PoolAllocator().statistics().total.liveBlocks == 0 && PoolAllocator().checkInvariants())
    }
  }

  @Test func `a late thread-local destructor may still allocate and free`() async {
    await #expect(processExitsWith: .success) {
      // Made after the heap's own key, so that its destructor runs after the cache is gone.
      _ = PoolAllocator().allocateIfPossible(size: 1)
      nonisolated(unsafe) var key = pthread_key_t()
      pthread_key_create(&key) { block in
        PoolAllocator().deallocate(block)
        for size in [10, 5000, 3 << 20] { PoolAllocator().deallocate(PoolAllocator().allocateIfPossible(size: size)!) }
      }
      for _ in 0..<20 { Threads.run(4) { _ in pthread_setspecific(key, PoolAllocator().allocateIfPossible(size: 100)) } }
      precondition(PoolAllocator().statistics().total.liveBlocks == 1 && PoolAllocator().checkInvariants())
    }
  }

  @Test(arguments: ["4M", "32M", "13000001"]) func `a small region runs out cleanly and works again`(region: String) async {
    await #expect(processExitsWith: .success) { [region] in
      setenv("ASHLAR_REGION", region, 1)
      let pool = PoolAllocator()
      for size in [16, 500, 70_000, 1 << 20, 2 << 20] {
        var blocks: [UnsafeMutableRawPointer] = []
        while let block = pool.allocateIfPossible(size: size) { blocks.append(block) }
        precondition(blocks.count * size > 2 << 20, "\(blocks.count) blocks of \(size)")
        precondition(Set(blocks).count == blocks.count && pool.checkInvariants())
        blocks.forEach { pool.deallocate($0) }
      }
      precondition(pool.statistics().total.liveBlocks == 0)
    }
  }

  @Test func `a thread that splits the last block does not leave the others without`() async {
    await #expect(processExitsWith: .success) {
      setenv("ASHLAR_REGION", "8M", 1)
      for _ in 0..<2000 {
        Threads.run(4) { _ in
          let block = PoolAllocator().allocateIfPossible(size: (1 << 20) + 1)
          precondition(block != nil, "2 MiB for each of four are there")
          PoolAllocator().deallocate(block)
        }
      }
    }
  }

  @Test(arguments: [0, 1, 50]) func `any size of the caches works`(percent: Int) async {
    await #expect(processExitsWith: .success) { [percent] in
      setenv("ASHLAR_CACHE", "\(percent)", 1)
      for name in ["threads", "hand-over", "misuse"] where name != "misuse" || percent > 40 {
        let outcome = Battery.check(named: name)!.run(seed: 1, share: 1) { _ in }
        precondition(outcome.passed, "\(outcome.findings)")
      }
    }
  }

  @Test(.enabled(if: !isRaceWatched)) func `first calls at once in many processes`() async {
    await #expect(processExitsWith: .success) {
      for _ in 0..<100 {
        let status = Processes.fork(seconds: 10) {
          Threads.run(8) { _ in precondition(goesOn()) }
          return PoolAllocator().statistics().total.liveBlocks == 0 && PoolAllocator().checkInvariants()
        }
        precondition(status == 0)
      }
    }
  }

  @Test func `frees and allocations from exit handlers`() async {
    await #expect(processExitsWith: .exitCode(7)) {
      atexit { if !goesOn() { _exit(1) } }
      atexitBlock = UInt(bitPattern: PoolAllocator().allocateIfPossible(size: 100))
      atexit {
        PoolAllocator().deallocate(UnsafeMutableRawPointer(bitPattern: atexitBlock))
        if !goesOn() { _exit(2) }
      }
      exit(7)
    }
  }

  @Test(.enabled(if: !isWatched, "the sanitizer needs mappings of its own"))
  func `when there are too many mappings, what can't be unmapped is kept for later`() async {
    await #expect(processExitsWith: .success) {
      let pool = PoolAllocator()
      let size = 600 << 20
      // Neighbours, which the kernel keeps as one mapping: the middle one can't go without making it two.
      var blocks = (0..<3).map { _ in pool.allocateIfPossible(size: size)! }
      blocks.sort()
      let isNeighbour = blocks[1] == blocks[0] + size && blocks[2] == blocks[1] + size
      let before = ProcessMemory.mapped
      let pages = mmap(nil, 70_000 * 2 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)!
      let isRefused = (0..<70_000).contains { mprotect(pages + 2 * $0 * 4096, 4096, PROT_READ) != 0 }
      precondition(isRefused, "the system has no limit")
      blocks[1].storeBytes(of: 1, as: Int.self)
      pool.deallocate(blocks[1])
      precondition(!isNeighbour || ProcessMemory.mapped > before, "the system took it back all the same")
      precondition(pool.statistics().large.liveBlocks == 2 && pool.checkInvariants())
      munmap(pages, 70_000 * 2 * 4096)
      // The next one that the system takes brings the other along.
      pool.deallocate(blocks[0])
      precondition(ProcessMemory.mapped <= before - 2 * size + 1 << 20)
      pool.deallocate(blocks[2])
      precondition(goesOn())
    }
  }

  // What a sanitizer keeps of each byte counts as resident too.
  @Test(arguments: ["operations", "threads", "out-of-memory"] + (isWatched ? [] : ["memory-return"]))
  func `memory that is made writable only when it is handed out`(check: String) async {
    await #expect(processExitsWith: .success) { [check] in
      setenv("ASHLAR_STRICT", "1", 1)
      let outcome = Battery.check(named: check)!.run(seed: 1, share: 1) { _ in }
      precondition(outcome.passed, "\(outcome.findings)")
    }
  }
}

private nonisolated(unsafe) var atexitBlock: UInt = 0

/// Whether blocks of every level can still be had and given back.
private func goesOn() -> Bool {
  for size in [50, 3000, 200_000, 2 << 20, 600 << 20] {
    guard let block = PoolAllocator().allocateIfPossible(size: size) else { return false }
    PoolAllocator().deallocate(block)
  }
  return true
}
