import Ashlar
import Foundation
import Glibc

/// What happens once in a process, looked at in children.
extension Check {
  static let environment = Check("environment", "every switch by its name: its default, its limits, and what is said of other values") {
    context in
    let usual = Switches()
    let defaults = Named.all.map { $0.value(usual) }
    context.require(
      defaults == [256 << 30, 100, 1 << 20, 32 << 20, 256 << 20, 1000, 1, 0, 0, 0, 16 << 20, 0, 0], "the defaults are \(defaults)")
    // A watcher of memory has defaults of its own.
    let unset = read("ANOTHER=1")
    for named in Named.all {
      for value in [named.least, named.least + 1, named.most - 1, named.most, named.least - 1, named.most + 1] {
        let isTaken = value >= named.least && value <= named.most
        var taken = 0
        let said = StandardError.captured { taken = named.value(read("\(named.name)=\(value)")) }
        context.require(taken == (isTaken ? value : named.value(unset)), "\(named.name)=\(value) is taken for \(taken)")
        let line = "ashlar: \(named.name)=\(value) makes no sense and is ignored: \(named.least) to \(named.most) is what it takes\n"
        context.require(said == (isTaken ? "" : line), "\(named.name)=\(value): \(said)")
        context.count(1)
      }
    }
    context.require(read("ASHLAR_GUARD=7", isFirst: true).guardInterval == 7, "the first entry of an environment is not read")
    early(context)
  }

  private struct Named: Sendable {
    let name: String
    let least: Int
    let most: Int
    let value: @Sendable (Switches) -> Int

    static let all: [Named] = [
      Named(name: "ASHLAR_REGION", least: 4 << 20, most: 1 << 40) { $0.region },
      Named(name: "ASHLAR_CACHE", least: 0, most: 100) { $0.cachePercent },
      Named(name: "ASHLAR_DEPOT", least: 0, most: 1 << 30) { $0.depot },
      Named(name: "ASHLAR_SURPLUS", least: 0, most: 1 << 40) { $0.surplus },
      Named(name: "ASHLAR_RETAIN", least: 0, most: 1 << 40) { $0.retain },
      Named(name: "ASHLAR_DELAY", least: 0, most: 1_000_000_000) { $0.delay },
      Named(name: "ASHLAR_HUGE_PAGES", least: 0, most: 1) { $0.hugePages ? 1 : 0 },
      Named(name: "ASHLAR_TRACK", least: 0, most: 1) { $0.track ? 1 : 0 },
      Named(name: "ASHLAR_STATISTICS", least: 0, most: 1) { $0.statistics ? 1 : 0 },
      Named(name: "ASHLAR_GUARD", least: 0, most: 1_000_000_000) { $0.guardInterval },
      Named(name: "ASHLAR_QUARANTINE", least: 0, most: 1 << 40) { $0.quarantine },
      Named(name: "ASHLAR_SAMPLE", least: 0, most: 1_000_000_000) { $0.sampleInterval },
      Named(name: "ASHLAR_STRICT", least: 0, most: 1) { $0.strict ? 1 : 0 },
    ]
  }

  // What a process finds that has this entry in its environment, among others or before them.
  private static func read(_ entry: String, isFirst: Bool = false) -> Switches {
    var found = Switches()
    withArray(isFirst ? [entry, "PATH=/"] : ["OTHER=1", entry, "PATH=/"]) { entries in
      let kept = variables.pointee
      variables.pointee = entries
      found = Switches.fromEnvironment()
      variables.pointee = kept
    }
    return found
  }

  private typealias Variables = UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>
  private static var variables: UnsafeMutablePointer<Variables?> {
    dlsym(nil, "environ")!.assumingMemoryBound(to: Variables?.self)
  }

  /// Before the C library knows of an environment, the kernel does: a child writes into what it was started with.
  private static func early(_ context: CheckContext) {
    // An entry is read from its beginning only, the first one too.
    let entries = Array("ASHLAR_RETAIN=5M\0XASHLAR_DELAY=7\0ASHLAR_DEPOT=3M\0".utf8)
    guard let place = startOfEnvironment(holding: entries.count) else { return context.note("no environment as long as \(entries.count) bytes") }
    let status = Processes.fork(seconds: 20) {
      UnwatchedMemory.write(entries, to: place)
      variables.pointee = nil
      let mapped = ProcessMemory.mapped
      let found = (0..<20).map { _ in Switches.fromEnvironment() }
      return found.allSatisfy { $0.retain == 5 << 20 && $0.delay == 1000 && $0.depot == 3 << 20 } && ProcessMemory.mapped - mapped < 1 << 20
    }
    context.require(status == 0, "what the kernel knows of the environment is not read: status \(status)")
    context.count(1)
  }

  // Where the kernel has it: the 50th and 51st of what it says of a process (proc(5)).
  private static func startOfEnvironment(holding bytes: Int) -> UnsafeMutableRawPointer? {
    guard let text = try? String(contentsOfFile: "/proc/self/stat", encoding: .utf8), let name = text.lastIndex(of: ")") else { return nil }
    // The third comes behind the name.
    let numbers = text[name...].split(separator: " ").dropFirst().map { UInt($0) ?? 0 }
    guard numbers.count > 48, numbers[47] > 0, numbers[48] > numbers[47] + UInt(bytes) else { return nil }
    return UnsafeMutableRawPointer(bitPattern: numbers[47])
  }

  private static func withArray(_ texts: [String], _ body: (Variables) -> Void) {
    var entries = texts.map { strdup($0) } + [nil]
    entries.withUnsafeMutableBufferPointer { body($0.baseAddress!) }
    entries.forEach { Glibc.free($0) }
  }

  static let exitReports = Check("exit-reports", "what a process says at its end: blocks that the tracker knows, damage, or nothing") { context in
    func ends(_ body: @escaping () -> Void) -> String {
      StandardError.captured {
        let status = Processes.fork(seconds: 20) {
          body()
          exit(7)
        }
        context.require(status == 7 << 8, "a child that ends in order ended with \(status)")
        context.count(1)
      }
    }
    for wanted in [false, true] {
      let said = StandardError.captured {
        _ = OwnHeap.with(OwnHeap.switches(region: 4 << 20) { $0.statistics = wanted }) { $0.reportAtExit() }
      }
      context.require(said.hasPrefix("ashlar: small: ") == wanted && said.isEmpty != wanted, "statistics \(wanted ? "" : "not ")asked for: '\(said)'")
    }
    let pool = PoolAllocator()
    guard ProcessHeap.shared?.switches.statistics == false, !PoolAllocator.isTracking else {
      return context.note("left out in part: whoever runs the checks has asked for more")
    }
    context.require(ends {}.isEmpty, "something is said where nothing is wrong: \(ends {})")
    let leaks = ends {
      PoolAllocator.isTracking = true
      _ = pool.allocateIfPossible(size: 77, file: "Exit.swift", line: 3)
    }
    context.require(
      leaks == "ashlar: 1 blocks live, 77 bytes\nashlar:   1 small block, 77 bytes, from Exit.swift:3\n", "blocks live at the end: \(leaks)")
    let status = StandardError.captured {
      let status = Processes.fork(seconds: 20) {
        signal(SIGABRT, SIG_DFL)
        PoolAllocator.guards = .init(canaries: 1)
        if let block = pool.allocateIfPossible(size: 10) { UnwatchedMemory.invert(block + 10) }
        exit(0)
      }
      context.require(status & 127 == SIGABRT, "damage at the end: the child ended with \(status)")
    }
    context.require(status.contains("ashlar: overflow: exit of 0x"), "damage at the end: \(status)")
  }
}

extension Check {
  static let noHeap = Check("no-heap", "a first call that the system has no memory for: the answers without a heap, and one at the next call") {
    context in
    guard HardwareMemory.globals.pointee.heap == nil else { return context.note("left out: there is a heap") }
    let pool = PoolAllocator()
    PoolAllocator.injectSystemFault(call: 1, onwards: true)
    defer { PoolAllocator.liftSystemFaults() }
    func refuses(_ what: String, _ body: () -> UnsafeMutableRawPointer?) {
      errno = 0
      let block = body()
      context.require(block == nil && errno == ENOMEM, "\(what) without memory: errno \(errno)")
      context.count(1)
    }
    refuses("malloc") { ashlarMalloc(10) }
    refuses("calloc") { ashlarCalloc(1, 10) }
    refuses("realloc") { ashlarRealloc(nil, 10) }
    refuses("reallocarray") { ashlarReallocarray(nil, 10, 10) }
    refuses("aligned_alloc") { ashlarAlignedAlloc(64, 10) }
    refuses("valloc") { ashlarValloc(10) }
    var block: UnsafeMutableRawPointer?
    context.require(ashlarPosixMemalign(&block, 64, 10) == ENOMEM && block == nil, "posix_memalign without memory")
    context.require((try? pool.allocate(size: 10, alignment: 16, zeroed: false, file: #fileID, line: #line)) == nil, "a block without memory")
    // Whose it is nobody can say, so nothing is done.
    withUnsafeTemporaryAllocation(byteCount: 64, alignment: 16) { memory in
      ashlarFree(memory.baseAddress)
      context.require(ashlarMallocUsableSize(memory.baseAddress) == 0, "usable bytes without a heap")
      context.require((try? pool.reallocate(memory.baseAddress!, size: 10)) == nil, "a block resized without a heap")
    }
    context.require(ashlarMallocTrim(0) == 1 && ashlarCheckInvariants() == 1 && ashlarReportLeaks() == 0, "answers without a heap")
    context.require(pool.checkInvariants() && pool.releaseAllHugeBlocks() == 0 && PoolAllocator.reportLeaks() == 0, "answers without a heap")
    context.require(PoolAllocator.guards == .init() && !PoolAllocator.isTracking && PoolAllocator.trackedBlocks == 0, "answers without a heap")
    context.require(pool.statistics().total == .init() && pool.statistics(ofSizeClass: 0) == .init(), "blocks without a heap")
    PoolAllocator.liftSystemFaults()
    guard let first = ashlarMalloc(10) else { return context.find("no heap at the next call") }
    ashlarFree(first)
    context.count(12)
  }
}
