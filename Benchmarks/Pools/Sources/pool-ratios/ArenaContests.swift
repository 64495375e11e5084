import Ashlar
import CPoolPeers
import Glibc
import PoolWorkloads

private let sizes = ArenaWorkloads.sizes
private let arenaRounds = 200

/// Runs `body` on so many threads at once, and answers the seconds that one request took: each thread makes all of them.
private func threaded(_ threads: Int, _ body: @escaping @Sendable () -> Void) -> Double {
  final class Work { let body: @Sendable () -> Void; init(_ body: @escaping @Sendable () -> Void) { self.body = body } }
  return each(arenaRounds * sizes.count) {
    var handles: [pthread_t] = []
    for _ in 0..<threads {
      var handle = pthread_t()
      pthread_create(&handle, nil, { Unmanaged<Work>.fromOpaque($0!).takeRetainedValue().body(); return nil },
        Unmanaged.passRetained(Work(body)).toOpaque())
      handles.append(handle)
    }
    for handle in handles { pthread_join(handle, nil) }
  }
}

private func withSizes(_ body: (UnsafeBufferPointer<Int>) -> Void) { sizes.withUnsafeBufferPointer(body) }

private struct Resource: @unchecked Sendable {
  let pointer = peer_pool_resource_make()
}

private let workloads: [(name: String, make: @Sendable () -> @Sendable () -> Void, after: @Sendable () -> Void)] = [
  ("synchronized_pool_resource", {
    let resource = Resource()
    return { withSizes { peer_pool_resource_rounds(resource.pointer, $0.baseAddress, $0.count, arenaRounds) } }
  }, {}),
  ("Arena a thread", {
    { withSizes { ArenaWorkloads.rounds(try! Arena(), $0, arenaRounds) } }
  }, {}),
  ("malloc, free", {
    { withSizes { peer_malloc_rounds($0.baseAddress, $0.count, arenaRounds) } }
  }, {}),
  ("growing vector", {
    { withSizes { peer_vector_rounds($0.baseAddress, $0.count, arenaRounds) } }
  }, {}),
  ("SharedArena", {
    { withSizes { ArenaWorkloads.rounds(sharedArena, $0, arenaRounds) } }
  }, { sharedArena.reset() }),
]
private let sharedArena = try! SharedArena()

func arenaContest(threads: Int) -> Contest {
  Contest(title: "Arenas: one of 1,000 requests of 16 to 256 B, given back together, \(threads) \(threads == 1 ? "thread" : "threads")", entries: workloads.map { workload in
    let body = workload.make()
    return .init(name: workload.name) {
      defer { workload.after() }
      return threaded(threads, body)
    }
  })
}

func printCacheMisses() {
  print("\n### Cache misses of the same, 2 threads\n")
  for workload in workloads {
    let body = workload.make()
    _ = threaded(2, body)
    workload.after()
    let counter = peer_cache_misses_begin()
    guard counter >= 0 else { return print("This machine counts none.") }
    _ = threaded(2, body)
    print("\(workload.name): \(peer_cache_misses_end(counter))")
    workload.after()
  }
}

/// One workload for a counter of instructions, on one thread.
func runOne(_ name: String, _ times: Int) {
  let pool = Pool(1000)
  switch name {
  case "pool-pair": ObjectWorkloads.allocateAndFree(pool.pool, times)
  case "malloc-pair": peer_malloc_and_free(times, objectBytes)
  case "pool-pair-figures": ObjectWorkloads.allocateAndFree(pool.pool, times, readingFigures: true)
  case "pool-batch":
    for _ in 0..<times / 1000 {
      ObjectWorkloads.allocateAll(pool.pool, objects, 1000)
      ObjectWorkloads.freeAll(pool.pool, objects, 1000)
    }
  case "malloc-batch":
    for _ in 0..<times / 1000 {
      peer_malloc_all(raw, 1000, objectBytes)
      peer_free_all(raw, 1000)
    }
  case "shared-pool":
    let shared = try! SharedObjectPool<Object>(capacity: 1000)
    ObjectWorkloads.cycleShared(shared, objects, live: 100, times)
  case "pool-10", "pool-100", "pool-1000":
    let live = Int(name.dropFirst(5))!
    ObjectWorkloads.cycle(pool.pool, objects, live: live, times)
  case "arena":
    withSizes { ArenaWorkloads.rounds(try! Arena(), $0, times / 1000) }
  case "pool-resource":
    let resource = Resource()
    withSizes { peer_pool_resource_rounds(resource.pointer, $0.baseAddress, $0.count, times / 1000) }
  case "malloc-rounds":
    withSizes { peer_malloc_rounds($0.baseAddress, $0.count, times / 1000) }
  case "vector":
    withSizes { peer_vector_rounds($0.baseAddress, $0.count, times / 1000) }
  default: fatalError("no such workload")
  }
}
