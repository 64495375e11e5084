import Ashlar
import CAshlar
import Foundation
import Glibc

/// The seam to the system, and what a process finds when it starts.
extension Check {
  static let system = Check("system", "the calls to the system: what each does and answers, that it is counted, can be refused, and leaves errno alone") {
    context in
    let page = System.pageBytes
    func calls(_ expected: Int, _ what: String, _ body: () -> Bool) {
      let before = SystemFaults.callCount
      errno = 77
      context.require(body(), "\(what) has another answer")
      context.require(SystemFaults.callCount == before + expected, "\(what) takes \(SystemFaults.callCount - before) calls")
      context.require(errno == 77, "\(what) sets errno to \(errno)")
      context.count(1)
    }
    var memory: UnsafeMutableRawPointer!
    calls(1, "map") {
      memory = System.map(4 * page)
      return memory != nil && Pattern.firstNonZero(memory, 0..<(4 * page)) == nil
    }
    guard let memory else { return }
    memset(memory, 1, 4 * page)
    calls(1, "purge") { System.purge(memory, page) && memory.load(as: UInt8.self) == 0 && memory.load(fromByteOffset: page, as: UInt8.self) == 1 }
    calls(1, "forbid") { System.forbid(memory, page) }
    context.require(dies { memory.load(as: UInt8.self) == 0 }, "a forbidden page is read")
    calls(1, "make writable") { System.makeWritable(memory, page) }
    context.require(memory.load(as: UInt8.self) == 0, "a forbidden page keeps its contents")
    memset(memory, 2, page)
    var moved = memory
    calls(1, "remap") {
      moved = System.remap(memory, from: 4 * page, to: 64 * page) ?? memory
      return moved.load(as: UInt8.self) == 2 && moved.load(fromByteOffset: 64 * page - 1, as: UInt8.self) == 0
    }
    calls(1, "remap to too much") { System.remap(moved, from: 64 * page, to: 1 << 60) == nil }
    carried(context, moved)
    calls(1, "unmap") {
      System.unmap(moved, 64 * page)
      return true
    }
    calls(1, "map too much") { System.map(1 << 60) == nil }
    for (readable, writable) in [(false, false), (true, false), (true, true)] {
      guard let reserved = System.reserve(page, readable: readable, writable: writable) else { return context.find("nothing is reserved") }
      context.require(dies { reserved.load(as: UInt8.self) == 0 } == !readable, "reserved, readable: \(readable)")
      let isWritten = { () -> Bool in
        reserved.storeBytes(of: 1, as: UInt8.self)
        return true
      }
      context.require(dies(isWritten) == !writable, "reserved, writable: \(writable)")
      System.unmap(reserved, page)
    }
    refusals(context)
    context.require(!dies { System.random != 0 } && System.random != 0, "a random word is 0")
  }

  // Four pages to others, or, where these can't be put in the place of what is there, their contents.
  private static func carried(_ context: CheckContext, _ memory: UnsafeMutableRawPointer) {
    let page = System.pageBytes
    for offset in [0, 8] {
      memset(memory, 3, 4 * page)
      memset(memory + 8 * page, 4, 6 * page)
      guard System.carry(memory, 4 * page, to: memory + 8 * page + offset) else {
        return context.note("this system carries no pages")
      }
      let place = memory + 8 * page + offset
      let isThere = (0..<(4 * page)).allSatisfy { place.load(fromByteOffset: $0, as: UInt8.self) == 3 }
      context.require(isThere && place.load(fromByteOffset: 4 * page, as: UInt8.self) == 4, "pages carried by \(offset) are not all there, or more are")
      context.require(Pattern.firstNonZero(memory, 0..<(4 * page)) == nil, "carried pages stay")
      context.require(!System.carry(memory + 2, page, to: memory), "what is no page is carried")
      context.count(1)
    }
    guard mlock(memory, 4 * page) == 0 else { return context.note("no page may be locked") }
    context.require(!System.carry(memory, 4 * page, to: memory + 8 * page), "locked pages are carried")
    munlock(memory, 4 * page)
  }

  private static func refusals(_ context: CheckContext) {
    let page = System.pageBytes
    for (call, onwards, expected) in [(1, false, [1]), (3, false, [3]), (2, true, [2, 3, 4])] {
      SystemFaults.fail(call: call, onwards: onwards)
      let refused = (1...4).filter { _ in
        guard let memory = System.map(page) else { return true }
        munmap(memory, page)
        return false
      }
      SystemFaults.lift()
      context.require(refused == expected, "calls \(refused) are refused, not \(expected)")
      context.count(1)
    }
    guard let memory = System.map(page) else { return context.find("no memory") }
    let acts: [(String, () -> Bool)] = [
      ("purge", { System.purge(memory, page) }), ("forbid", { System.forbid(memory, page) }),
      ("make writable", { System.makeWritable(memory, page) }), ("remap", { System.remap(memory, from: page, to: 2 * page) != nil }),
      ("carry", { System.carry(memory, page, to: memory) }),
      ("reserve", { System.reserve(page, readable: true, writable: true) != nil }),
    ]
    for (name, act) in acts {
      SystemFaults.fail(call: 1, onwards: false)
      context.require(!act(), "\(name) can't be refused")
      SystemFaults.lift()
      context.count(1)
    }
    System.unmap(memory, page)
    // What is refused is purged, and tried again after the next that is taken, each once.
    for count in 0...3 {
      let mappings = (0..<(count + 2)).compactMap { _ in System.map(page) }
      for mapping in mappings.prefix(count) {
        SystemFaults.fail(call: 1, onwards: false)
        System.unmap(mapping, page)
      }
      SystemFaults.lift()
      let made = mappings.suffix(2).map { mapping in
        let calls = SystemFaults.callCount
        System.unmap(mapping, page)
        return SystemFaults.callCount - calls
      }
      context.require(made == [1 + count, 1], "\(made) calls for the next unmaps while \(count) are pending")
      context.count(1)
    }
  }

  private static func dies(_ act: () -> Bool) -> Bool { Processes.dies(of: [SIGSEGV, SIGBUS], act) }

  static let guardIntervals = Check("guard-intervals", "guards one in so many: what is taken, and that a process which asks for more ends") { context in
    for (interval, isTaken) in [(0, true), (1_000_000_000, true), (1_000_000_001, false), (-1, false)] {
      for guards: PoolAllocator.Guards in [.init(canaries: interval), .init(pages: interval)] {
        let ends = Processes.dies(of: [SIGILL, SIGTRAP]) {
          PoolAllocator.guards = guards
          return true
        }
        context.require(ends != isTaken, "\(guards): \(isTaken ? "the process ends" : "taken")")
        context.count(1)
      }
    }
    // Blocks from no bin: by lot, one in ten of 500.
    withGuards(.init(canaries: 10)) {
      let guarded = (0..<500).filter { _ in
        guard let block = PoolAllocator().allocateIfPossible(size: 2 << 20) else { return false }
        defer { PoolAllocator().deallocate(block) }
        return ProcessHeap.shared?.guarded.record(of: UserPointer(block)) != nil
      }
      context.require((20...100).contains(guarded.count), "one in ten of 500 blocks: \(guarded.count) are guarded")
    }
  }

  static let start = Check("start", "a process that starts with switches set: what is tracked and guarded from the first block on, how much is reserved") {
    context in
    guard !MemoryMarks().matter else { return context.note("left out: a watcher of memory has its own switches") }
    let cases: [(entry: String, track: Bool, guards: PoolAllocator.Guards)] = [
      ("ASHLAR_DELAY=900", false, .init()), ("ASHLAR_TRACK=1", true, .init()), ("ASHLAR_GUARD=1", false, .init(canaries: 1)),
      ("ASHLAR_SAMPLE=1", false, .init(pages: 1)), ("ASHLAR_GUARD=1000", false, .init(canaries: 1000)),
      ("ASHLAR_SAMPLE=1000", false, .init(pages: 1000)),
    ]
    for (entry, track, guards) in cases {
      let status = startedAnew(entry) { _ in
        let block = PoolAllocator().allocateIfPossible(size: 100)
        defer { PoolAllocator().deallocate(block) }
        return PoolAllocator.isTracking == track && PoolAllocator.trackedBlocks == (track ? 1 : 0) && PoolAllocator.guards == guards
      }
      context.require(status == 0, "a process started with \(entry): status \(status)")
      context.count(1)
    }
    // One percent is room for one block of 1 MiB, by way of the slow path too.
    let small = startedAnew("ASHLAR_CACHE=1") { heap in
      PoolAllocator.isTracking = true
      PoolAllocator().deallocate(PoolAllocator().allocateIfPossible(size: 1 << 20))
      guard let bin = heap.cacheOfThread()?.bin(SizeClass(holding: 1 << 20)) else { return false }
      return bin.capacity == 1 && bin.count == 1
    }
    context.require(small == 0, "a bin with room for one block keeps none: status \(small)")
    // Half of the address space stays with the program. ThreadSanitizer has taken more than is left.
    for (limit, region) in [(64, 32), (20, 8), (600, 256)] where !Surroundings.replaceMalloc {
      let status = startedAnew("ASHLAR_REGION=256G", before: {
        ProcessHeap.shared?.region.release()
        var space = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &space)
        space.rlim_cur = rlim_t(limit << 30)
        setrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &space)
      }) { $0.region.bytes == region << 30 }
      context.require(status == 0, "a process with \(limit) GiB of address space: status \(status)")
      context.count(1)
    }
  }

  static let overcommit = Check("overcommit", "whether the system charges every writable page, by what its file says") { context in
    let path = FileManager.default.temporaryDirectory.appending(path: "ashlar-\(UUID().uuidString)").path
    for (text, counts) in [("0\n", false), ("1\n", false), ("2\n", true), ("", false)] {
      _ = FileManager.default.createFile(atPath: path, contents: Data(text.utf8))
      context.require(HeapParts<HardwareMemory>.countsEveryWritablePage(path) == counts, "a file that says '\(text)' is read otherwise")
      unlink(path)
      context.count(1)
    }
    context.require(!HeapParts<HardwareMemory>.countsEveryWritablePage(path), "a file that is not there says that pages are charged")
  }

  /// The status of a child that has forgotten that there is a heap, and makes one in this environment.
  private static func startedAnew(_ entry: String, before: () -> Void = {}, _ body: (ProcessHeap) -> Bool) -> Int32 {
    Processes.fork(seconds: 30) {
      for name in ["REGION", "TRACK", "GUARD", "SAMPLE", "STRICT"] { unsetenv("ASHLAR_" + name) }
      let parts = entry.split(separator: "=").map(String.init)
      setenv(parts[0], parts[1], 1)
      before()
      HardwareMemory.store(0, to: SharedWord(ashlar_phase_word(HardwareMemory.globals)))
      HardwareMemory.cache = ashlar_no_cache()
      guard let heap = ProcessHeap.shared, body(heap) else { return false }
      return heap.checkInvariants()
    }
  }

  static let lazyStart = Check("lazy-start", "the word of a lazy start: new, being started by a process, ready") { context in
    let memory = ZeroedMemory(bytes: 8)
    let start = LazyStart<HardwareMemory>(phase: SharedWord(memory.start))
    func phase() -> UInt { memory.start.load(as: UInt.self) }
    var seen: [UInt] = [phase()]
    for succeeds in [false, true] {
      context.require(!start.isReady, "what was not started is ready")
      var finished = 0
      let answer = start.ensure(in: 5, start: { seen.append(phase()); return succeeds }, finish: { finished += 1; seen.append(phase()) })
      context.require(answer == succeeds && finished == (succeeds ? 1 : 0), "a start that \(succeeds ? "succeeds" : "fails") has another end")
      seen.append(phase())
    }
    context.require(start.isReady && seen == [0, 21, 0, 21, 2, 2], "the word's values are \(seen)")
    context.require(start.ensure(in: 6, start: { false }, finish: { context.find("started twice") }), "what is ready is started again")
    context.count(3)
  }
}
