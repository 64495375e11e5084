import Ashlar

extension Check {
  static let guards = Check(
    "guards", "\(DamageCase.all.count) overflows, underflows and writes after free: each found, named and said once"
  ) { context in
    withGuards(.init(canaries: 1)) {
      for (number, damage) in DamageCase.all.enumerated() {
        if let failure = damage.failure() { context.find("\(damage): \(failure)") }
        context.count(1)
        context.advance(number, of: DamageCase.all.count)
      }
    }
  }

  static let guardedOperations = Check(
    "guarded-operations", "mixed operations and alignments with all blocks guarded, some, and some before a page"
  ) { context in
    let guards: [PoolAllocator.Guards] = [
      .init(canaries: 1), .init(canaries: 5), .init(pages: 1), .init(pages: 7), .init(canaries: 3, pages: 2),
    ]
    for (number, guards) in guards.enumerated() {
      withGuards(guards) {
        mixedOperations(context, SwiftSubject(), operations: context.share(of: 20_000))
        mixedOperations(context, CSubject(), operations: context.share(of: 20_000))
        Threads.run(4) { thread in alignmentRounds(context, thread: thread, rounds: context.share(of: 2000)) }
      }
      context.require(PoolAllocator().checkInvariants(), "the heap's records do not agree")
      context.advance(number, of: 5)
    }
  }

  static let quarantine = Check("quarantine", "what is kept in quarantine: up to its size, first in first out; a block above that pushes nothing out") {
    context in
    let made = OwnHeap.with(OwnHeap.switches(region: 64 << 20) { $0.quarantine = 1 << 20 }) { heap in
      heap.setGuards(canaries: 1, pages: 0)
      func kept(_ size: Int) -> Int {
        heap.guarded.quarantined(.free(SizeClass(holding: size + 32)))
      }
      func free(_ size: Int) {
        guard let block = heap.allocate(size) else { return context.find("no memory") }
        heap.free(block)
        context.count(1)
      }
      free(100)
      context.require(kept(100) == 1, "a freed block is not in quarantine")
      // One byte more than there is room for: it would be looked at last, and all others before.
      free((1 << 20) + 1)
      context.require(kept(100) == 1, "a block larger than the quarantine pushes out what is there")
      free((1 << 20) - 100)
      context.require(kept(100) == 1, "a quarantine that is full to the byte lets a block go")
      free(1000)
      context.require(kept(100) == 0 && kept(1000) == 1, "the block freed first is not the first to go")
      free(1 << 20)
      context.require(heap.guarded.quarantined(.free(order: 1)) == 1, "a block as large as the quarantine is not kept")
      heap.trim()
      for _ in 0..<3 { free(0) }
      free(1000)
      context.require(kept(0) == 3 && kept(1000) == 1 && heap.checkInvariants(), "blocks of no bytes are not kept like others")
      heap.setGuards(canaries: 0, pages: 0)
      heap.trim()
      context.require(kept(0) == 0 && kept(1000) == 0, "a trim leaves blocks in quarantine")
      context.require(heap.checkInvariants(), "the heap's records do not agree")
    }
    context.require(made, "no heap")
  }

  /// A guarded block's base is the address that an allocator underneath would know: of all that are no user's pointers the one
  /// whose tag must not say live.
  static let guardedBases = Check(
    "guarded-bases", "guarded blocks of every level: their base, and addresses inside them, are freed: one report each, and no effect"
  ) { context in
    withGuards(.init(canaries: 1)) {
      let pool = PoolAllocator()
      for size in [1, 100, 5000, 200_000, 1 << 20, 3 << 20, 200 << 20, 600 << 20] {
        guard let heap = ProcessHeap.shared, let block = pool.allocateIfPossible(size: size),
          let record = heap.guarded.record(of: UserPointer(block))
        else { return context.find("no guarded block of \(size) bytes") }
        func expect(_ address: UInt, _ state: String, sized: Bool) {
          guard let pointer = UnsafeMutableRawPointer(bitPattern: address) else { return }
          for (name, body) in [("free", { pool.deallocate(pointer) }), ("reallocate", { _ = try? pool.reallocate(pointer, size: size + 1) })] {
            let faults = FaultRecorder.record(body)
            context.require(faults.map(\.state) == [state], "\(name) \(address - record.base.address) bytes into \(size): \(faults)")
            let bytes = record.end - record.base.address
            context.require(!sized || faults.first?.blockSize == Int(bytes), "\(size) bytes are said to lie in \(faults.first?.blockSize ?? 0)")
            context.count(1)
          }
        }
        // Where no more are guarded, frees take the hot path again.
        for interval in [1, 0] {
          PoolAllocator.guards = .init(canaries: interval)
          pool.deallocate(pool.allocateIfPossible(size: size))
          expect(record.base.address, "the base of a guarded block, not its user's pointer", sized: false)
        }
        PoolAllocator.guards = .init(canaries: 1)
        let isMedium = size >= RegionLayout.unitBytes
        for byte in isMedium ? [64, RegionLayout.unitBytes - 16, size - 16] : [] {
          expect((record.user + UInt(byte)) & ~15, "inside a block", sized: true)
        }
        context.require(FaultRecorder.record { pool.deallocate(block) }.isEmpty, "\(size) bytes are not freed after that")
      }
      context.require(pool.checkInvariants(), "the heap's records do not agree")
    }
  }

  /// Runs `body` with other guards, after which nothing is left in quarantine.
  static func withGuards<Result>(_ guards: PoolAllocator.Guards, _ body: () -> Result) -> Result {
    let before = PoolAllocator.guards
    PoolAllocator.guards = guards
    defer {
      PoolAllocator.guards = before
      PoolAllocator().trim()
    }
    return body()
  }
}
