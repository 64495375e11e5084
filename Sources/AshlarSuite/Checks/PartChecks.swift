import Ashlar
import Glibc

extension Check {
  static let switches = Check("switches", "values of the environment's switches: taken, or said to make no sense and ignored") {
    context in
    func apply(_ entry: String) -> (Switches, said: Bool) {
      var switches = Switches()
      let text = StandardError.captured { entry.withCString { switches.apply($0) } }
      return (switches, text.contains("makes no sense"))
    }
    let usual = Switches()
    for (value, bytes) in [("0", 0), ("7", 7), ("3k", 3 << 10), ("8M", 8 << 20), ("2G", 2 << 30), ("1T", 1 << 40)] {
      let (switches, said) = apply("ASHLAR_RETAIN=\(value)")
      context.require(switches.retain == bytes && !said, "\(value) is taken for \(switches.retain)")
    }
    // The second but last is 2^64.
    for value in ["", "-1", "x", "1KB", "1X", "2T", "1:", "1/", "18446744073709551616", "18014398509481984K", "99999999999999999999"] {
      let (switches, said) = apply("ASHLAR_RETAIN=\(value)")
      context.require(switches.retain == usual.retain && said, "\(value) is taken for \(switches.retain)")
    }
    context.require(apply("ASHLAR_CACHE=100").0.cachePercent == 100 && !apply("ASHLAR_CACHE=100").said, "100 % is refused")
    context.require(apply("ASHLAR_CACHE=101").0.cachePercent == 100 && apply("ASHLAR_CACHE=101").said, "101 % is taken")
    context.require(apply("ASHLAR_REGION=1M").0.region == usual.region, "a region of 1 MiB is taken")
    context.require(!apply("ASHLAR=1").said && !apply("PATH=1").said, "another's variable is taken for ours")
    for entry in ["BSHLAR_RETAIN=5", "ASHLAR_RETAIN", "ASHLAR_RETAIM=5", "ASHLAR_RETAIN:5", " ASHLAR_RETAIN=5"] {
      context.require(apply(entry).0.retain == usual.retain && !apply(entry).said, "'\(entry)' is taken for ours")
    }
    context.count(20)
  }

  static let table = Check("table", "the hash table of addresses against a dictionary, while it grows and its runs part and close") {
    context in
    var generator = context.generator()
    let state = UnsafeMutableRawPointer.allocate(byteCount: 64, alignment: 64)
    defer { state.deallocate() }
    state.initializeMemory(as: UInt8.self, repeating: 0, count: 64)
    let table = AddressTable<HardwareMemory, Int>(state: PlainPointer(state))
    var model: [UInt: Int] = [:]
    for step in 0..<20_000 {
      let key = UInt.random(in: 1...(step < 10_000 ? 400 : 3000), using: &generator) << 12
      context.require(table[key] == model[key], "what is known of \(hex(key)) is wrong")
      if model[key] == nil, Bool.random(using: &generator) {
        context.require(table.makeRoom(), "memory is out")
        table.insert(key, step)
        model[key] = step
      } else {
        context.require(table.remove(key) == model.removeValue(forKey: key), "the record of \(hex(key)) is not the one removed")
      }
      if step % 1000 == 0 { context.require(table.checkInvariants() && table.count == model.count, "the table is not sound") }
    }
    table.removeAll()
    crowd(table, context)
    let calls = PoolAllocator.systemCallCount
    for _ in 0..<10 {
      context.require(table.makeRoom(), "memory is out")
      table.removeAll()
    }
    context.require(PoolAllocator.systemCallCount == calls + 20, "a table's memory is not given back")
    // Room for 256, half of it, and twice that.
    for key in 1...129 as ClosedRange<UInt> {
      context.require(table.makeRoom(), "memory is out")
      table.insert(key << 12, 0)
    }
    context.require(PoolAllocator.systemCallCount == calls + 23, "a table that grows keeps what it had, too")
    table.removeAll()
    context.count(20_000)
  }

  // Every second place of the table taken: a search must come to one of the others.
  private static func crowd(_ table: AddressTable<HardwareMemory, Int>, _ context: CheckContext) {
    func place(_ key: UInt) -> UInt { ((key >> 4) &* 0x9E37_79B9_7F4A_7C15) >> 32 }
    let keys = (1...1000).map { UInt($0) << 12 }.filter { place($0) % 2 == 0 }
    for (number, key) in keys.prefix(128).enumerated() {
      context.require(table.makeRoom(), "memory is out")
      table.insert(key, number)
    }
    context.require(keys[128...].allSatisfy { table[$0] == nil }, "a key is found that nobody put in")
    for (number, key) in keys.prefix(128).enumerated() { context.require(table[key] == number, "a key is lost") }
    context.require(table.checkInvariants(), "the table is not sound")
    table.removeAll()
  }

  static let lineWriter = Check("line-writer", "a report's line is cut off at the end of its buffer") { context in
    var bytes = [UInt8](repeating: 0xEE, count: 32)
    bytes.withUnsafeMutableBytes { all in
      var line = LineWriter(buffer: UnsafeMutableRawBufferPointer(rebasing: all[0..<16]))
      line.append("0123456789")
      line.append(hexadecimal: .max)
    }
    context.require(bytes.starts(with: Array("0123456789".utf8) + Array("0xffff".utf8)), "the line is \(bytes)")
    context.require(bytes[16...].allSatisfy { $0 == 0xEE }, "what lies behind the buffer has changed")
    let lines = StandardError.captured {
      LineWriter.report { line in
        line.append("one")
        line.end()
        line.append("other")
      }
    }
    context.require(lines == "one\nother\n", "two lines are '\(lines)'")
    context.count(1)
  }

  static let retention = Check("retention", "freed memory is kept for a delay that is given in milliseconds") { context in
    let made = OwnHeap.with(OwnHeap.switches(region: 4 << 20)) { heap in
      let state = UnsafeMutableRawPointer.allocate(byteCount: 64, alignment: 64)
      defer { state.deallocate() }
      state.initializeMemory(as: UInt8.self, repeating: 0, count: 64)
      let kept = Retention<HardwareMemory>(region: heap.region, cap: 8 << 20, delay: 1000, state: state)
      context.require(kept.delay == 8, "a second is \(kept.delay) ticks of an eighth")
      context.require(!kept.isOverCap(dirtyUnits: 8) && kept.isOverCap(dirtyUnits: 9), "the cap of 8 units is not there")
      context.require(kept.isExceeded(dirtyUnits: 9) && !kept.isExceeded(dirtyUnits: 0), "a sweep is due at other times than over the cap")
      // The clock is that of the system, which has run for long.
      context.require(kept.isExceeded(dirtyUnits: 1) && !kept.isExceeded(dirtyUnits: 1), "a sweep is not due, or twice in a quarter of the delay")
      let calls = PoolAllocator.systemCallCount
      let region = Region<HardwareMemory>(bytes: 4 << 20, strict: false, unitRecordBytes: { BuddyTables.bytes(units: $0) })
      context.require(PoolAllocator.systemCallCount == calls + 1, "a region takes more than one call of the system")
      region?.release()
    }
    let capped = OwnHeap.with(OwnHeap.switches(region: 64 << 20) { $0.retain = 8 << 20 }) { heap in
      // Every other one stays, so that none is merged.
      let blocks = (0..<24).compactMap { _ in heap.allocate(2 << 20) }.sorted()
      for (number, block) in stride(from: 0, to: 24, by: 2).map({ blocks[$0] }).enumerated() {
        heap.free(block)
        let dirty = heap.buddy.dirtyUnits
        context.require(dirty <= 8 && dirty >= min(6, 2 * number), "\(dirty) units stay dirty after \(number + 1) blocks of 2, 8 may")
      }
      stride(from: 1, to: 24, by: 2).forEach { heap.free(blocks[$0]) }
      heap.trim()
      context.require(heap.buddy.dirtyUnits == 0, "\(heap.buddy.dirtyUnits) units stay dirty after all were purged")
    }
    let young = OwnHeap.with(OwnHeap.switches(region: 4 << 20) { $0.delay = 125 }) { heap in
      // The clock may tick between the two, but not each time.
      let kept = (0..<20).filter { _ in
        guard let block = heap.allocate(2 << 20) else { return false }
        heap.free(block)
        heap.buddy.purge(all: false)
        return heap.buddy.dirtyUnits > 0
      }
      context.require(!kept.isEmpty, "with a delay of one tick nothing is kept")
      // Pages of a unit that is in use grow old, too.
      let small = [64 << 10, 100].compactMap { heap.allocate($0) }
      guard small.count == 2 else { return context.find("no memory") }
      heap.free(small[0])
      heap.buddy.purge(all: true)
      usleep(300_000)
      let calls = SystemFaults.callCount
      heap.purgeAged()
      context.require(SystemFaults.callCount > calls, "free pages are kept for longer than the delay")
      heap.free(small[1])
    }
    // The blocks that were freed last, each of another order: no more of them go than must.
    let last = OwnHeap.with(OwnHeap.switches(region: 64 << 20) { $0.retain = 8 << 20 }) { heap in
      let blocks = [2, 2, 4, 4, 8, 8].compactMap { heap.allocate($0 << 20) }
      guard blocks.count == 6 else { return context.find("no memory") }
      for index in [0, 2, 4] { heap.free(blocks[index]) }
      heap.buddy.purge(all: false)
      context.require((1...8).contains(heap.buddy.dirtyUnits), "of 14 units \(heap.buddy.dirtyUnits) stay dirty, 8 may")
      for index in [1, 3, 5] { heap.free(blocks[index]) }
    }
    // What the system refuses to take is kept, over the cap: a purge still comes to an end.
    let refused = OwnHeap.with(OwnHeap.switches(region: 16 << 20) { $0.retain = 2 << 20 }) { heap in
      let blocks = [2 << 20, 2 << 20, 2 << 20, 64 << 10, 1 << 20, 1 << 20, 1 << 20].compactMap { heap.allocate($0) }
      PoolAllocator.injectSystemFault(call: 1, onwards: true)
      blocks.forEach(heap.free)
      PoolAllocator.liftSystemFaults()
      context.require(blocks.count == 7 && heap.buddy.dirtyUnits > 2, "\(heap.buddy.dirtyUnits) units stay dirty though nothing was taken")
      heap.trim()
      context.require(heap.buddy.dirtyUnits == 0 && heap.checkInvariants(), "units stay dirty after all were purged")
    }
    context.require(made && capped && young && last && refused, "no heap")
    context.count(1)
  }
}
