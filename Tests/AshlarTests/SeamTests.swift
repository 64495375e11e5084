import AshlarSuite
import CAshlar
import Glibc
import Testing

@testable import Ashlar

/// The live form of the seam, in every ordering, and what else only another build or a program in C asks for.
@Suite struct SeamTests {
  private static let orders: [MemoryOrder] = [.relaxed, .acquiring, .releasing, .acquiringAndReleasing]

  @Test(arguments: 0..<4) func `words and pairs change as they should in every ordering`(index: Int) {
    let order = Self.orders[index]
    let memory = ZeroedMemory(bytes: 64)
    let word = SharedWord(memory.start)
    #expect(HardwareMemory.add(5, to: word, order) == 0 && HardwareMemory.or(10, into: word, order) == 5)
    #expect(HardwareMemory.and(12, into: word, order) == 15 && HardwareMemory.exchange(7, in: word, order) == 12)
    #expect(HardwareMemory.compareExchange(word, expected: 8, desired: 9, order) == 7)
    #expect(HardwareMemory.compareExchange(word, expected: 7, desired: 9, order) == 7 && HardwareMemory.load(word) == 9)
    let pair = SharedPair(memory.start + 16)
    #expect(HardwareMemory.compareExchangePair(pair, expected: (0, 0), desired: (1, 2), order) == nil)
    let found = HardwareMemory.compareExchangePair(pair, expected: (1, 1), desired: (3, 3), order)
    #expect(found?.first == 1 && found?.second == 2)
    #expect(HardwareMemory.loadPair(pair, order) == (1, 2))
  }

  @Test func `a lock that is held is not had`() {
    let memory = ZeroedMemory(bytes: 64)
    let lock = Lock<HardwareMemory>(SharedWord(memory.start))
    #expect(lock.tryAcquire() && !lock.tryAcquire())
    lock.release()
    #expect(lock.tryAcquire())
  }

  @Test func `a program without an environment is read the one that it was started with`() async {
    await #expect(processExitsWith: .success) {
      clearenv()
      let block = PoolAllocator().allocateIfPossible(size: 100)
      precondition(block != nil && ProcessHeap.ready.switches.region == Switches.fromEnvironment().region)
    }
  }

  @Test func `a program in C switches and asks as one in Swift does`() async {
    let result = await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
      ashlarTrack(1)
      let block = ashlarMalloc(50)
      precondition(PoolAllocator.isTracking && ashlarReportLeaks() == 1 && ashlarCheckInvariants() == 1)
      ashlarFree(block)
      ashlarTrack(0)
      precondition(!PoolAllocator.isTracking)
      ashlarPrintStatistics()
      ashlarGuard(3, 0)
      precondition(PoolAllocator.guards == .init(canaries: 3))
      ashlarSetFaultHandler { fault in write(2, fault!.pointee.kind, 12) }
      ashlarFree(block)
    }
    let errors = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
    #expect(errors.contains("1 small block, 50 bytes, from return address") && errors.contains("small: 1 allocations, 1 frees"))
    #expect(errors.contains("double free"))
  }

  @Test func `figures of a class and of an order, and a fault in a line`() async {
    await #expect(processExitsWith: .success) {
      let pool = PoolAllocator()
      let blocks = [pool.allocateIfPossible(size: 33), pool.allocateIfPossible(size: 3 << 20)]
      precondition(pool.statistics(ofSizeClass: 2) == Statistics.Figures(allocations: 1, liveBlocks: 1, liveBytes: 48))
      precondition(pool.statistics(ofOrder: 2) == Statistics.Figures(allocations: 1, liveBlocks: 1, liveBytes: 4 << 20))
      PoolAllocator.setFaultHandler { fault in
        precondition(fault.description.hasPrefix("invalid pointer: free of 0x10, "))
        exit(0)
      }
      pool.deallocate(UnsafeMutableRawPointer(bitPattern: 16))
      withExtendedLifetime(blocks) { fatalError("no fault") }
    }
  }

  @Test func `a heap that can't start is started by the next call`() async {
    await #expect(processExitsWith: .success) {
      for call in 1...3 {
        PoolAllocator.injectSystemFault(call: call, onwards: true)
        precondition(PoolAllocator().allocateIfPossible(size: 100) == nil)
        PoolAllocator.liftSystemFaults()
      }
      precondition(PoolAllocator().allocateIfPossible(size: 100) != nil && PoolAllocator().checkInvariants())
    }
  }

  @Test func `threads do without caches where the system has no key left`() async {
    await #expect(processExitsWith: .success) {
      var key = pthread_key_t()
      while pthread_key_create(&key, nil) == 0 {}
      let pool = PoolAllocator()
      let blocks = (1...100).map { pool.allocateIfPossible(size: $0 * 50)! }
      precondition(pool.statistics().total.liveBlocks == 100)
      blocks.forEach { pool.deallocate($0) }
      precondition(pool.statistics().total.liveBlocks == 0 && pool.checkInvariants())
    }
  }

  @Test func `what lies in a slab and was never a block is told from it`() async {
    await #expect(processExitsWith: .success) {
      let pool = PoolAllocator()
      let block = pool.allocateIfPossible(size: 48)!
      // A slab of this class is a page, with room for 1,365 blocks and 16 bytes.
      let slab = UnsafeMutableRawPointer(bitPattern: UInt(bitPattern: block) & ~0xFFFF)!
      for (number, state) in [(1365, "behind the last block of a slab"), (1364, "never allocated: untouched in its slab")] {
        PoolAllocator.setFaultHandler { fault in precondition(fault.state == state, "\(fault)") }
        let freed = pool.statistics().small.frees
        pool.deallocate(slab + number * 48)
        precondition(pool.statistics().small.frees == freed)
      }
    }
  }

  @Test func `the system's allocator resizes over-aligned blocks too`() throws {
    let system = SystemAllocator()
    let block = try system.allocate(size: 100, alignment: 64)
    block.storeBytes(of: 42, as: Int.self)
    let moved = try system.reallocate(block, size: 5000, alignment: 4096, file: #fileID, line: #line)
    #expect(UInt(bitPattern: moved) % 4096 == 0 && moved.load(as: Int.self) == 42)
    system.deallocate(moved)
  }
}
