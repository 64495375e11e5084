import AshlarSuite
import Glibc
import Testing

@testable import Ashlar

/// What a process dies with when no handler is set: the signal and the line.
@Suite struct FaultTests {
  private let pool = PoolAllocator()

  private func line(_ result: ExitTest.Result?) -> String {
    // The address differs from run to run.
    String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
      .split(separator: "\n").last.map { String($0).replacing(#/0x[0-9a-f]+/#, with: "ADDRESS") } ?? ""
  }

  @Test func `double free of a small block`() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      let block = try PoolAllocator().allocate(size: 64)
      PoolAllocator().deallocate(block)
      PoolAllocator().deallocate(block)
    }
    #expect(line(result)
      == "ashlar: double free: free of ADDRESS, small block of 64 B (class 3), already free: in this thread's cache")
  }

  @Test func `double free of a medium block`() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      let block = try PoolAllocator().allocate(size: 3 << 20)
      PoolAllocator().deallocate(block)
      PoolAllocator().deallocate(block)
    }
    #expect(line(result)
      == "ashlar: double free: free of ADDRESS, medium block of 4 MiB (class 2), already free: in the buddy system")
  }

  @Test func `double free of a large block`() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      let block = ashlarMalloc(600 << 20)
      ashlarFree(block)
      ashlarFree(block)
    }
    #expect(line(result) == "ashlar: double free: free of ADDRESS, already free: returned to the system")
  }

  @Test func `double free of a block whose slab is gone`() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      let block = ashlarMalloc(700 << 10)
      ashlarFree(block)
      ProcessHeap.shared!.reclaim()
      ashlarFree(block)
    }
    #expect(line(result)
      == "ashlar: double free: free of ADDRESS, small block of 768 KiB (class 69), already free: its slab went back to the pool")
  }

  @Test func `free of an interior pointer`() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      ashlarFree(ashlarMalloc(1000)! + 16)
    }
    #expect(line(result) == "ashlar: invalid pointer: free of ADDRESS, small block of 1 KiB (class 31), inside a block")
  }

  @Test func `free of a misaligned pointer`() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      ashlarFree(ashlarMalloc(5 << 20)! + 1)
    }
    #expect(line(result) == "ashlar: invalid pointer: free of ADDRESS, misaligned: no block begins here")
  }

  @Test func `free of an address on the stack`() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      var local = 0
      withUnsafeMutablePointer(to: &local) { ashlarFree($0) }
    }
    #expect(line(result) == "ashlar: invalid pointer: free of ADDRESS, not from this allocator")
  }

  @Test func `resizing and measuring what is free`() async {
    let resized = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      let block = ashlarMalloc(64)
      ashlarFree(block)
      _ = ashlarRealloc(block, 10)
    }
    #expect(line(resized)
      == "ashlar: double free: reallocate of ADDRESS, small block of 64 B (class 3), already free: in this thread's cache")
    let measured = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      let block = ashlarMalloc(64)
      ashlarFree(block)
      _ = ashlarMallocUsableSize(block)
    }
    #expect(line(measured)
      == "ashlar: double free: usable size of ADDRESS, small block of 64 B (class 3), already free: in this thread's cache")
  }

  @Test func `sized free with a size that the block never had`() async {
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      ashlarFreeSized(ashlarMalloc(64), 65)
    }
    #expect(line(result)
      == "ashlar: wrong size: sized free of ADDRESS, small block of 64 B (class 3), live: smaller than the size given")
  }

  @Test func `a block that two threads freed at once has one owner`() async {
    // The race itself needs luck; its result, a block in two places, is made here.
    let result = await #expect(processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]) {
      let block = ashlarMalloc(64)!
      ashlarFree(block)
      let bin = ThreadCache<HardwareMemory>.current.bin(SizeClass(holding: 64))
      bin.push(ProcessHeap.ready.region.tagAddress(of: BlockBase(address: UInt(bitPattern: block))), to: bin.slot(bin.count))
      _ = ashlarMalloc(64)
      _ = ashlarMalloc(64)
    }
    #expect(line(result)
      == "ashlar: block freed twice at once: allocate of ADDRESS, small block of 64 B (class 3), live: found in a cache")
  }

  /// The whole catalogue, in a process where nothing else allocates.
  @Test func `every misuse draws its report and changes nothing`() async {
    let result = await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
      #expect(MisuseCase.all.count >= 100)
      var failed = false
      for misuse in MisuseCase.all {
        guard let failure = misuse.failure() else { continue }
        failed = true
        var line = "\(misuse.name): \(failure)\n"
        line.withUTF8 { _ = write(2, $0.baseAddress, $0.count) }
      }
      if failed { exit(1) }
    }
    #expect(String(decoding: result?.standardErrorContent ?? [], as: UTF8.self) == "")
  }

  @Test func `a handler that returns leaves the heap as it was, and can be taken away`() async {
    await #expect(processExitsWith: .signal(SIGABRT)) {
      nonisolated(unsafe) var seen: [MemoryFault] = []
      PoolAllocator.setFaultHandler { seen.append($0) }
      let pool = PoolAllocator()
      let block = try pool.allocate(size: 100)
      pool.deallocate(block)
      pool.deallocate(block)
      precondition(seen.count == 1 && seen[0].level == .small && seen[0].blockSize == 112 && seen[0].sizeClass == 6)
      precondition(pool.checkInvariants() && pool.statistics().total.liveBlocks == 0)
      PoolAllocator.setFaultHandler(nil)
      pool.deallocate(block)
    }
  }
}
