import Ashlar
import Glibc

/// The Swift interface beside the pool.
extension Check {
  static let systemAllocator = Check("system-allocator", "the C library's allocator behind our protocol: contents, alignments, errors") {
    context in
    let system = SystemAllocator()
    for alignment in [1, 8, 16, 64, 4096] {
      for (size, next) in [(1, 1000), (1000, 1), (5000, 100_000), (100_000, 0), (0, 50)] {
        guard var block = try? system.allocate(size: size, alignment: alignment, zeroed: true, file: #fileID, line: #line) else {
          context.find("no block of \(size) aligned to \(alignment)")
          continue
        }
        context.require(Pattern.firstNonZero(block, 0..<size) == nil && system.usableSize(of: block) >= size, "a block that is not zero, or too small")
        memset(block, 0xA5, size)
        guard let moved = try? system.reallocate(block, size: next, alignment: alignment, file: #fileID, line: #line) else {
          context.find("\(size) bytes can't be \(next)")
          continue
        }
        block = moved
        let isWhole = (0..<min(size, next)).allSatisfy { block.load(fromByteOffset: $0, as: UInt8.self) == 0xA5 }
        context.require(isWhole && UInt(bitPattern: block) % UInt(alignment) == 0, "\(size) bytes resized to \(next), aligned to \(alignment)")
        context.require(system.usableSize(of: block) >= next, "\(next) bytes are too few")
        system.deallocate(block)
        context.count(1)
      }
    }
    guard let block = try? system.allocate(size: 10, alignment: 16, zeroed: false, file: #fileID, line: #line) else { return context.find("no block") }
    for alignment in [0, 3, 12, -16, Int.max] {
      expect(.invalidAlignment(alignment), context) { () throws(AllocationError) in
        _ = try system.reallocate(block, size: 10, alignment: alignment, file: #fileID, line: #line)
      }
      expect(.invalidAlignment(alignment), context) { () throws(AllocationError) in
        _ = try system.allocate(size: 10, alignment: alignment, zeroed: false, file: #fileID, line: #line)
      }
    }
    expect(.invalidSize, context) { () throws(AllocationError) in
      _ = try system.allocate(size: -1, alignment: 16, zeroed: false, file: #fileID, line: #line)
    }
    if !Surroundings.replaceMalloc {
      expect(.outOfMemory(size: .max / 2), context) { () throws(AllocationError) in
        _ = try system.reallocate(block, size: .max / 2, alignment: 16, file: #fileID, line: #line)
      }
      mappings(system, context)
    }
    system.deallocate(block, size: 10)
    for allocator in [system, PoolAllocator()] as [any BlockAllocator] { usualAlignment(allocator, context) }
  }

  // Each block is one, and goes when it is freed.
  private static func mappings(_ system: SystemAllocator, _ context: CheckContext) {
    let mapped = ProcessMemory.mapped
    for _ in 0..<10 {
      system.deallocate(system.allocateIfPossible(size: 64 << 20))
      system.deallocate(system.allocateIfPossible(size: 64 << 20), size: 64 << 20)
    }
    context.require(ProcessMemory.mapped - mapped < 128 << 20, "what is freed stays mapped: \(ProcessMemory.mapped - mapped) bytes")
  }

  // Who names no alignment gets the usual one.
  private static func usualAlignment(_ allocator: some BlockAllocator, _ context: CheckContext) {
    let blocks = [try? allocator.allocate(size: 10), try? allocator.allocateZeroed(size: 10), allocator.allocateIfPossible(size: 10)]
    context.require(blocks.allSatisfy { $0 != nil }, "\(allocator): no block without an alignment")
    for block in blocks {
      let larger = block.flatMap { try? allocator.reallocate($0, size: 100) }
      context.require(larger != nil, "\(allocator): no larger block without an alignment")
      allocator.deallocate(larger)
    }
  }

  private static func expect(_ expected: AllocationError, _ context: CheckContext, _ body: () throws(AllocationError) -> Void) {
    do throws(AllocationError) {
      try body()
      context.find("granted in place of \(expected)")
    } catch {
      context.require(error == expected, "\(error) in place of \(expected)")
    }
    context.count(1)
  }

  static let buffers = Check("buffers", "a buffer: its elements, its limits, its end; values that are refused on the spot") { context in
    let pool = PoolAllocator()
    let live = pool.statistics().total.liveBlocks
    do throws(AllocationError) {
      for alignment in [1, 8, 64, 4096] {
        let buffer = try Buffer<Int>(count: 100, alignment: alignment, zeroed: true, allocator: pool)
        context.require(UInt(bitPattern: buffer.baseAddress) % UInt(max(alignment, 8)) == 0, "a buffer aligned to less than \(alignment)")
        context.require(buffer.elements.count == 100 && buffer.elements.allSatisfy { $0 == 0 }, "a buffer that is not zero")
        for index in 0..<100 { buffer[index] = index }
        context.require((0..<100).allSatisfy { buffer[$0] == $0 }, "a buffer that keeps nothing")
        for index in [-1, 100, Int.max] {
          diesOf(index, buffer, context)
        }
        context.count(1)
      }
      context.require(try Buffer<Int>(count: 0, allocator: pool).count == 0, "no buffer of nothing")
    } catch {
      context.find("no buffer: \(error)")
    }
    for alignment in [0, 3, -8, Int.min] {
      expect(.invalidAlignment(alignment), context) { () throws(AllocationError) in
        _ = try Buffer<Int>(count: 1, alignment: alignment, allocator: pool)
      }
    }
    expect(.invalidSize, context) { () throws(AllocationError) in _ = try Buffer<Int>(count: -1, allocator: pool) }
    context.require(pool.statistics().total.liveBlocks == live, "a buffer outlives its owner")
    for guards in [PoolAllocator.Guards(canaries: -1, pages: 0), .init(canaries: 1_000_000_001, pages: 0), .init(canaries: 0, pages: -1)] {
      context.require(traps { PoolAllocator.guards = guards }, "\(guards) are taken")
    }
    context.require(DefaultAllocator.current is PoolAllocator, "the default is \(DefaultAllocator.current)")
    DefaultAllocator.current = SystemAllocator()
    context.require(DefaultAllocator.current is SystemAllocator, "another default is not taken")
    DefaultAllocator.current = pool
    context.require(!traps { PoolAllocator.guards = .init(canaries: 1_000_000_000, pages: 0) }, "the largest interval is refused")
    for index in [-1, SizeClass.count] { context.require(traps { _ = pool.statistics(ofSizeClass: index) }, "there are figures of class \(index)") }
    for order in [-1, BuddyTables.orders] { context.require(traps { _ = pool.statistics(ofOrder: order) }, "there are figures of order \(order)") }
    context.require(!traps { _ = (pool.statistics(ofSizeClass: 0), pool.statistics(ofOrder: 0)) }, "no figures of the first class and order")
    context.require(
      !traps { _ = (pool.statistics(ofSizeClass: SizeClass.count - 1), pool.statistics(ofOrder: BuddyTables.orders - 1)) },
      "no figures of the last class and order")
  }

  private static func diesOf(_ index: Int, _ buffer: borrowing Buffer<Int>, _ context: CheckContext) {
    for writes in [false, true] {
      let status = Processes.fork(seconds: 10) {
        quiet()
        if writes { buffer[index] = 1 } else { _ = seen(buffer[index]) }
        return true
      }
      context.require(isTrap(status), "element \(index) of \(buffer.count) is \(writes ? "written" : "read")")
    }
  }

  // The Swift runtime would say what the crash was.
  private static func quiet() { for number in [SIGILL, SIGTRAP] { signal(number, SIG_DFL) } }

  // Nothing that is left out for nobody looks.
  @inline(never)
  private static func seen(_ value: Int) -> Int { value }

  private static func isTrap(_ status: Int32) -> Bool { [SIGILL, SIGTRAP].contains(status & 127) }

  private static func traps(_ body: () -> Void) -> Bool {
    isTrap(Processes.fork(seconds: 10) {
      quiet()
      body()
      return true
    })
  }
}
