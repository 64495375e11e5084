import Ashlar

extension Check {
  /// Forks of the check in its usual length.
  static let forkCount = 10_000
  /// Threads of the check in its usual length.
  static let churnCount = 100_000

  static let forks = Check(
    "forks", "\(forkCount) forks while threads are in every path of the allocator; the child goes on, and forks again"
  ) { context in
    let stop = SharedCount()
    let forks = context.share(of: forkCount)
    _ = childGoesOn([], forksAgain: true)
    Threads.run(4) { thread in
      guard thread == 0 else { return keepBusy(thread, until: { stop.value > 0 }, context) }
      for round in 0..<forks {
        let blocks = [64, 5000, 2 << 20].map { PoolAllocator().allocateIfPossible(size: $0) }
        let status = Processes.fork { childGoesOn(blocks, forksAgain: round % 10 == 0) }
        blocks.forEach { PoolAllocator().deallocate($0) }
        context.require(status == 0, "child \(round) ended with \(status)")
        if status != 0 { break }
        context.count(1)
        context.advance(round, of: forks)
      }
      stop.add(1)
    }
    context.require(PoolAllocator().checkInvariants(), "the heap's records do not agree")
  }

  /// Everything that takes a lock, swaps a pair, or calls the system.
  private static func keepBusy(_ thread: Int, until isOver: () -> Bool, _ context: CheckContext) {
    var generator = context.generator(thread)
    let pool = PoolAllocator()
    while !isOver() {
      switch thread {
      case 1:
        // More than a bin holds: refill, flush, slabs that come and go.
        let blocks = (0..<300).map { _ in pool.allocateIfPossible(size: generator.logarithmic(in: 1...(1 << 20))) }
        blocks.forEach { pool.deallocate($0) }
      case 2:
        let blocks = (0..<8).map { _ in pool.allocateIfPossible(size: Int.random(in: (1 << 20)...(8 << 20), using: &generator)) }
        blocks.forEach { pool.deallocate($0) }
        if generator.next() % 16 == 0 { pool.trim() }
      default:
        let block = pool.allocateIfPossible(size: 600 << 20)
        Threads.run(2) { _ in pool.deallocate(pool.allocateIfPossible(size: 100)) }
        pool.deallocate(block)
      }
    }
  }

  private static func childGoesOn(_ blocks: [UnsafeMutableRawPointer?], forksAgain: Bool) -> Bool {
    let pool = PoolAllocator()
    blocks.forEach { pool.deallocate($0) }
    for size in [1, 64, 3000, 200_000, 1 << 20, 2 << 20, 600 << 20] {
      guard let block = pool.allocateIfPossible(size: size) else { return false }
      pool.deallocate(block)
    }
    guard forksAgain else { return true }
    pool.trim()
    return Processes.fork { childGoesOn([], forksAgain: false) } == 0
  }

  static let threadChurn = Check(
    "thread-churn", "\(churnCount) short threads that leave blocks behind for others: neither memory nor caches grow"
  ) { context in
    let exchange = Exchange()
    let rounds = context.share(of: churnCount) / 4
    let pool = PoolAllocator()
    var before = 0
    for round in 0..<rounds {
      Threads.run(4) { thread in
        for step in 1...8 {
          guard let block = pool.allocateIfPossible(size: step * 200) else { return context.find("memory is out") }
          let parcel = Parcel(block: UInt(bitPattern: block), size: 0, seed: 0)
          if let other = exchange.swap(parcel, (round * 32 + thread * 8 + step) % 1024) {
            pool.deallocate(UnsafeMutableRawPointer(bitPattern: other.block))
          }
        }
      }
      // After a tenth everything that a steady state needs is there.
      if round == rounds / 10 { before = ProcessMemory.resident }
      context.count(4)
      context.advance(round, of: rounds)
    }
    let growth = ProcessMemory.resident - before
    exchange.takeAll().forEach { pool.deallocate(UnsafeMutableRawPointer(bitPattern: $0.block)) }
    var caches = 0
    ProcessHeap.shared?.registry.visit { _ in
      caches += 1
      return true
    }
    context.note("\(max(0, growth) >> 10) KiB more after nine tenths of the threads, \(caches) caches")
    context.require(growth < 8 << 20, "resident memory grew by \(growth >> 10) KiB")
    context.require(caches <= 24, "\(caches) caches for 4 threads at once")
    context.require(pool.checkInvariants(), "the heap's records do not agree")
  }

  /// Races of each mode in the check's usual length.
  static let raceCount = 1_000_000

  static let doubleFreeRace = Check(
    "double-free-race", "\(raceCount) blocks freed by two threads at the same instant, on the hot path and guarded"
  ) { context in
    let races = context.share(of: raceCount)
    let fast = race(races, context)
    context.note("\(fast.twoOwners) of \(races) had two owners before the report; none guarded")
    context.require(fast.unreported == 0, "\(fast.unreported) of \(races) races went unreported")
    let guarded = withGuards(.init(canaries: 1)) { race(races, context) }
    context.require(guarded.unreported == 0, "\(guarded.unreported) of \(races) guarded races went unreported")
    context.require(guarded.twoOwners == 0, "\(guarded.twoOwners) of \(races) guarded blocks had two owners")
    context.require(PoolAllocator().checkInvariants(), "the heap's records do not agree")
    context.count(2 * races)
  }

  /// Two threads free one block at once, and then allocate at once. Every owner frees what it was given.
  private static func race(_ races: Int, _ context: CheckContext) -> (unreported: Int, twoOwners: Int) {
    let pool = PoolAllocator()
    let start = Rendezvous(parties: 2)
    let reports = SharedCount()
    // Addresses passed from thread to thread, who meet in between.
    let (shared, others) = (SharedCount(), SharedCount())
    let (unreported, twoOwners) = (SharedCount(), SharedCount())
    // Process-wide, as the handler is: nothing else may report meanwhile.
    PoolAllocator.setFaultHandler { _ in reports.add(1) }
    Threads.run(2) { thread in
      for round in 0..<races {
        if thread == 0 { shared.value = Int(bitPattern: pool.allocateIfPossible(size: 64)) }
        start.meet()
        let block = UnsafeMutableRawPointer(bitPattern: shared.value)
        start.meet()
        pool.deallocate(block)
        start.meet()
        let mine = pool.allocateIfPossible(size: 64)
        if thread == 1 { others.value = Int(bitPattern: mine) }
        start.meet()
        if thread == 0 {
          if Int(bitPattern: mine) == others.value { twoOwners.add(1) }
          pool.deallocate(mine)
        }
        start.meet()
        if thread == 1 { pool.deallocate(mine) }
        start.meet()
        if thread == 0 {
          if reports.take() == 0 { unreported.add(1) }
          context.advance(round, of: races)
        }
      }
    }
    PoolAllocator.setFaultHandler(nil)
    return (unreported.value, twoOwners.value)
  }
}
