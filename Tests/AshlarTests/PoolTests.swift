import AshlarSuite
import Glibc
import Testing

@testable import Ashlar

/// Object pools, arenas and memory on chosen nodes, as their users see them. What they are made of is checked by the battery.
@Suite struct PoolTests {
  /// Counts the lives that have ended.
  private struct Life: ~Copyable {
    let ended: UnsafeMutablePointer<Int>
    deinit { ended.pointee += 1 }
  }

  @Test func `objects live from make to destroy`() throws {
    let ended = UnsafeMutablePointer<Int>.allocate(capacity: 1)
    ended.initialize(to: 0)
    defer { ended.deallocate() }
    let pool = try ObjectPool<Life>(capacity: 2)
    let first = try pool.make(Life(ended: ended))
    let second = try pool.make(Life(ended: ended))
    #expect(throws: AllocationError.capacityReached(2)) { try refuse(pool) }
    #expect(pool.allocateIfPossible() == nil && pool.statistics.liveObjects == 2)
    pool.destroy(first)
    #expect(ended.pointee == 1 && pool.statistics.liveObjects == 1)
    #expect(try pool.allocate() == first)
    pool.deallocate(first)
    pool.destroy(second)
    #expect(ended.pointee == 2 && pool.statistics.liveObjects == 0 && pool.statistics.peakObjects == 2)
  }

  private func refuse(_ pool: borrowing ObjectPool<Life>) throws { _ = try pool.allocate() }

  @Test(arguments: [-1, Int.min, Int.max, (64 << 30) / 16 + 1]) func `a capacity that is none is refused`(capacity: Int) {
    do throws(AllocationError) {
      _ = try ObjectPool<Int>(capacity: capacity)
      Issue.record("a pool of \(capacity)")
    } catch { #expect(error == .invalidSize) }
    #expect(throws: AllocationError.invalidSize) { try SharedObjectPool<Int>(capacity: capacity) }
  }

  @Test func `a pool of none is always full`() throws {
    let pool = try ObjectPool<Int>(capacity: 0)
    #expect(pool.allocateIfPossible() == nil && pool.capacity == 0)
    let shared = try SharedObjectPool<Int>(capacity: 0)
    #expect(throws: AllocationError.capacityReached(0)) { try shared.allocate() }
    #expect(throws: AllocationError.capacityReached(0)) { try shared.preallocate(1) }
  }

  @Test func `a pool's memory goes back where it came from`() throws {
    let counting = CountingAllocator()
    do {
      let pool = try ObjectPool<Int>(capacity: 1000, allocator: counting)
      let shared = try SharedObjectPool<Int>(capacity: 1000, allocator: counting)
      _ = (try pool.allocate(), try shared.make(1))
      #expect(counting.live.value.pointee == 4)
    }
    #expect(counting.live.value.pointee == 0)
  }

  @Test func `a shared pool counts for every thread`() throws {
    let pool = try SharedObjectPool<Int>(capacity: 4000)
    try pool.preallocate(4000)
    Threads.run(4) { thread in
      for number in 0..<1000 {
        let object = pool.allocateIfPossible()!
        object.initialize(to: number)
        if number % 2 == 0 { pool.destroy(object) }
      }
    }
    let figures = pool.statistics
    #expect(figures.allocations == 4000 && figures.frees == 2000 && figures.liveObjects == 2000 && figures.capacity == 4000)
    #expect((2000...2004).contains(figures.peakObjects))
  }

  @Test func `an arena hands out the same addresses after a reset`() throws {
    let counting = CountingAllocator()
    do {
      let arena = try Arena(allocator: counting)
      func requests() throws -> [UnsafeRawPointer] {
        let block = try arena.allocate(size: 3, alignment: 1)
        let numbers = try arena.allocate(Int.self, count: 10_000)
        numbers.initialize(repeating: 7)
        #expect(numbers.count == 10_000 && UInt(bitPattern: numbers.baseAddress) % 8 == 0)
        let next = try arena.allocate(size: 3, alignment: 1)
        let double = try arena.allocate(Double.self)
        return [UnsafeRawPointer(block), UnsafeRawPointer(next), UnsafeRawPointer(numbers.baseAddress!), UnsafeRawPointer(double)]
      }
      let first = try requests()
      #expect(arena.statistics.usedBytes >= 80_014 && arena.statistics.chunks == counting.live.value.pointee)
      arena.reset()
      #expect(try requests() == first)
      arena.release()
      #expect(counting.live.value.pointee == 0 && arena.statistics == ArenaStatistics((0, 0, 0)))
      _ = try requests()
    }
    #expect(counting.live.value.pointee == 0)
  }

  @Test(arguments: [-1, Int.min, 1 << 41]) func `a chunk size that is none is refused`(size: Int) {
    do throws(AllocationError) {
      _ = try Arena(chunkSize: size)
      Issue.record("an arena with chunks of \(size)")
    } catch { #expect(error == .invalidSize) }
    #expect(throws: AllocationError.invalidSize) { try SharedArena(chunkSize: size) }
  }

  @Test func `a shared arena takes back what every thread has`() throws {
    let arena = try SharedArena()
    Threads.run(4) { _ in for _ in 0..<1000 { try! arena.allocate(Int.self).initialize(to: 1) } }
    #expect(arena.statistics.usedBytes == 32_000)
    #expect(throws: AllocationError.invalidAlignment(3)) { try arena.allocate(size: 1, alignment: 3) }
    #expect(throws: AllocationError.invalidSize) { try arena.allocate(Int.self, count: .max) }
    #expect(try arena.allocate(Int.self, count: 5).count == 5)
    arena.reset()
    #expect(arena.statistics.usedBytes == 0)
    arena.release()
    #expect(arena.statistics.chunks == 0)
  }

  @Test func `a buffer lies where the kernel is told`() throws {
    guard let node = NUMA.nodes.last else { return }
    let buffer = try Buffer<Int>(count: 100_000, zeroed: true, allocator: try NUMAAllocator(.bind(to: [node])))
    buffer.elements.initialize(repeating: 1)
    #expect(NUMA.policy(of: buffer.baseAddress) == .bind(to: [node]))
    #expect(NUMA.nodes(of: stride(from: 0, to: 100_000, by: 512).map { UnsafeRawPointer(buffer.baseAddress + $0) }).allSatisfy { $0 == node })
    #expect(throws: NUMAError.noSuchNode(-7)) { try NUMAAllocator(.bind(to: [-7])) }
  }

  @Test func `a double free to a pool ends the process, and says why`() async throws {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      let pool = try ObjectPool<Int>(capacity: 10)
      let object = try pool.allocate()
      pool.deallocate(object)
      pool.deallocate(object)
    }
    let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
    #expect(text.contains(/^ashlar: double free: free of 0x[0-9a-f]+, block of 16 B, already free: in its object pool$/.anchorsMatchLineEndings()))
  }
}
