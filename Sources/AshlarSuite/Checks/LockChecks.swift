import Ashlar
import CAshlar
import Glibc

/// Which locks are taken: those that a call must wait for, and no others.
extension Check {
  static let untakenLocks = Check("untaken-locks", "calls that need a lock for nothing do without, while another holds it") { context in
    let made = OwnHeap.with(OwnHeap.switches(region: 16 << 20)) { heap in
      func use(_ sizes: [Int]) {
        for size in sizes {
          guard let block = heap.allocate(size) else { _exit(2) }
          _ = heap.usableSize(UserPointer(block))
          guard case .done(let moved) = heap.reallocate(UserPointer(block), Request(size: size + size / 2), site: .unknown) else { _exit(3) }
          heap.free(moved, size: size)
        }
      }
      let all = [100, 5000, 2 << 20, 600 << 20]
      finish("all levels while nothing is tracked", holding: [heap.tracker.lock], context) { use(all) }
      finish("all levels while nothing is guarded", holding: [heap.pages.lock], context) { use(all) }
      finish("looks at pages that are not reserved", holding: [heap.pages.lock], context) {
        _ = (heap.pages.live, heap.pages.contains(4096), heap.pages.nextDamage(heap.canary, found: .check), heap.statistics())
      }
      finish("medium blocks while another thread merges", holding: [], context) {
        heap.buddy.becomeWorker()
        for _ in 0..<3 {
          guard let block = heap.buddy.allocate(order: 1) else { _exit(2) }
          heap.buddy.release(block)
        }
        heap.buddy.purge(all: false)
      }
      heap.setGuards(canaries: 1, pages: 0)
      finish("guarded blocks while nothing is tracked", holding: [heap.tracker.lock], context) { use([100, 5000]) }
    }
    context.require(made, "no heap")
    guard let heap = ProcessHeap.shared else { return context.find("no heap") }
    finish("mappings while none is pending", holding: [PendingUnmaps.lock], context) {
      guard let memory = System.map(4096) else { _exit(2) }
      System.unmap(memory, 4096)
    }
    let classes = SizeClass.all.map { heap.slabs.lock($0) }
    let pool = PoolAllocator()
    for size in [64, 5000, 100_000] { pool.deallocate(pool.allocateIfPossible(size: size)) }
    finish("blocks that a cache has", holding: classes + [heap.pool.lock, heap.metadata.lock, heap.registry.lock, heap.direct.lock], context) {
      for size in [64, 5000, 100_000] { pool.deallocate(pool.allocateIfPossible(size: size)) }
    }
  }

  // In a child, who waits for ever for a lock that it takes itself.
  private static func finish(_ name: String, holding locks: [Lock<HardwareMemory>], _ context: CheckContext, _ body: () -> Void) {
    let status = Processes.fork(seconds: 8) {
      for lock in locks { lock.acquire() }
      body()
      return true
    }
    context.require(status == 0, "\(name): the child ended with \(status)")
    context.count(1)
  }

  static let awaitedLocks = Check("awaited-locks", "a fork waits for every lock that another thread holds, and leaves all free on both sides") { context in
    smallerClassesLast(context)
    for index in locksOfProcess.indices {
      let name = locksOfProcess[index].name
      let (isHeld, isOver) = (SharedCount(), SharedCount())
      Threads.run(2) { thread in
        let lock = locksOfProcess[index].lock
        if thread == 0 {
          lock.acquire()
          isHeld.add(1)
          // Long enough for a fork that does not wait.
          usleep(30_000)
          isOver.add(1)
          lock.release()
        } else {
          while isHeld.value == 0 { sched_yield() }
          let status = Processes.fork(seconds: 10) { isOver.value == 1 && locksOfProcess.allSatisfy { $0.lock.tryAcquire() } }
          context.require(status == 0, "\(name): a fork that does not wait, or leaves a lock held: status \(status)")
        }
      }
      for (other, lock) in locksOfProcess {
        context.require(lock.tryAcquire(), "\(name): the parent finds the lock of \(other) held")
        lock.release()
      }
      context.count(1)
    }
  }

  // Who has the lock of a class takes that of a smaller one: a fork that has it already would wait for ever, and so would they.
  private static func smallerClassesLast(_ context: CheckContext) {
    let (isHeld, isFree) = (SharedCount(), SharedCount())
    Threads.run(2) { thread in
      guard let slabs = ProcessHeap.shared?.slabs else { return }
      if thread == 0 {
        let (larger, smaller) = (slabs.lock(SizeClass(index: 40)), slabs.lock(SizeClass(index: 20)))
        larger.acquire()
        isHeld.add(1)
        usleep(30_000)
        if smaller.tryAcquire() {
          isFree.add(1)
          smaller.release()
        }
        larger.release()
      } else {
        while isHeld.value == 0 { sched_yield() }
        _ = Processes.fork(seconds: 10) { true }
      }
    }
    context.require(isFree.value == 1, "a fork takes the lock of a smaller class while it waits for that of a larger one")
    context.count(1)
  }

  private static var locksOfProcess: [(name: String, lock: Lock<HardwareMemory>)] {
    guard let heap = ProcessHeap.shared else { return [] }
    let classes = [0, 1, SizeClass.count - 1].map { ("class \($0)", heap.slabs.lock(SizeClass(index: $0))) }
    return classes + [
      ("tracker", heap.tracker.lock), ("registry", heap.registry.lock), ("guarded blocks", heap.guarded.lock), ("guard pages", heap.pages.lock),
      ("pool", heap.pool.lock), ("metadata", heap.metadata.lock), ("mappings", heap.direct.lock), ("pending unmaps", PendingUnmaps.lock),
    ]
  }

  // How many caches are whose: nobody's, a thread's, or lost.
  private static func owners() -> [UInt: Int] {
    var counts: [UInt: Int] = [:]
    ProcessHeap.shared?.registry.visit { cache in
      counts[HardwareMemory.load(cache.owned), default: 0] += 1
      return true
    }
    return counts
  }

  static let lostCaches = Check("lost-caches", "the child of a fork: its own cache is its own, those of other threads are nobody's") { context in
    guard let own = ProcessHeap.shared?.cacheOfThread() else { return context.find("no heap") }
    let (here, isOver) = (SharedCount(), SharedCount())
    let (owner, waiting) = (own.address, 3)
    // More at a time than there will be threads, so that some caches are free.
    let crowd = SharedCount()
    Threads.run(waiting + 3) { _ in
      PoolAllocator().deallocate(PoolAllocator().allocateIfPossible(size: 64))
      crowd.add(1)
      while crowd.value < waiting + 3 { usleep(1000) }
    }
    Threads.run(waiting + 1) { thread in
      if thread > 0 {
        PoolAllocator().deallocate(PoolAllocator().allocateIfPossible(size: 64))
        here.add(1)
        while isOver.value == 0 { usleep(1000) }
        return
      }
      while here.value < waiting { usleep(1000) }
      let free = owners()[0, default: 0]
      context.require(free > 0, "no cache is free")
      let status = Processes.fork(seconds: 10) {
        // The thread that forks has none; those of the main thread and of the others are lost. Those that nobody had stay free.
        let counts = owners()
        return counts[1] == nil && counts[2] == waiting + 1 && counts[0, default: 0] == free
      }
      context.require(status == 0, "caches of threads that a child does not have: status \(status)")
      isOver.add(1)
    }
    Threads.run(1) { _ in
      PoolAllocator().deallocate(PoolAllocator().allocateIfPossible(size: 2 << 20))
      context.require(HardwareMemory.cache == ashlar_no_cache(), "a thread has a cache that has no small block")
    }
    let status = Processes.fork(seconds: 10) { HardwareMemory.load(own.owned) == 1 && HardwareMemory.cache == owner }
    context.require(status == 0, "a child loses its own cache: status \(status)")
    context.count(2)
  }
}
