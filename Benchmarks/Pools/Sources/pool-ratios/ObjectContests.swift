import Ashlar
import CPoolPeers
import PoolWorkloads

private func cycle(_ name: String, _ pool: Pool, live: Int) -> Contest.Entry {
  Contest.Entry(name: name) { each(count) { ObjectWorkloads.cycle(pool.pool, objects, live: live, count) } }
}

func objectContests() -> [Contest] {
  let pool = Pool(1000)
  var contests = [
    Contest(title: "Allocate, 1,000 objects of 64 B", entries: [
      .init(name: "malloc") {
        eachOfBatches({ peer_malloc_all(raw, 1000, objectBytes) }, { peer_free_all(raw, 1000) })
      },
      .init(name: "ObjectPool") {
        eachOfBatches({ ObjectWorkloads.allocateAll(pool.pool, objects, 1000) }, { ObjectWorkloads.freeAll(pool.pool, objects, 1000) })
      },
    ]),
    Contest(title: "Allocate and free, one object of 64 B", entries: [
      .init(name: "malloc, free") { each(count) { peer_malloc_and_free(count, objectBytes) } },
      .init(name: "ObjectPool") { each(count) { ObjectWorkloads.allocateAndFree(pool.pool, count) } },
    ]),
    Contest(title: "Pool sizes: a pair, all other objects live", entries: [10, 50, 100, 500, 1000].map { size in
      let pool = Pool(size)
      for _ in 1..<size { _ = pool.pool.allocateIfPossible() }
      return .init(name: "\(size)") { each(count) { ObjectWorkloads.allocateAndFree(pool.pool, count) } }
    }),
    Contest(title: "Pool sizes: all allocated and written, then all freed; for one pair", entries: [10, 50, 100, 500, 1000].map {
      cycle("\($0)", Pool($0), live: $0)
    }),
    Contest(title: "Preallocation: 1,000 objects of a new pool", entries: [false, true].map { preallocated in
      .init(name: preallocated ? "preallocated" : "not") {
        // Fresh pages each time, from the system.
        guard let fresh = try? NUMAAllocator(.local) else { return 1 }
        let pool = Pool(1000, preallocated: preallocated, fresh)
        return each(1000) { ObjectWorkloads.allocateAll(pool.pool, objects, 1000); for index in 0..<1000 { objects[index].pointee.words.0 = 1 } }
      }
    }),
    Contest(title: "Throughput: 100 objects allocated, then freed; for one pair", entries: [
      .init(name: "malloc, free") {
        each(count) {
          for _ in 0..<count / 100 {
            peer_malloc_all(raw, 100, objectBytes)
            peer_free_all(raw, 100)
          }
        }
      },
      cycle("ObjectPool", pool, live: 100),
      { let shared = try! SharedObjectPool<Object>(capacity: 1000)
        return .init(name: "SharedObjectPool") { each(count) { ObjectWorkloads.cycleShared(shared, objects, live: 100, count) } } }(),
    ]),
    Contest(title: "Statistics: a pair, figures read every 1,000 pairs or not", entries: [
      .init(name: "not read") { each(count) { ObjectWorkloads.allocateAndFree(pool.pool, count, readingFigures: false) } },
      .init(name: "read") { each(count) { ObjectWorkloads.allocateAndFree(pool.pool, count, readingFigures: true) } },
    ]),
  ]
  let policies: [(String, NUMAPolicy)] = [("local", .local), ("interleave", .interleave()), ("bind", .bind(to: Set(NUMA.nodes)))]
  let placed = policies.compactMap { name, policy in
    (try? NUMAAllocator(policy)).map { cycle(name, Pool(1000, $0), live: 1000) }
  }
  if !placed.isEmpty {
    contests.append(Contest(title: "NUMA policies: a pair, 1,000 objects live", entries: placed + [cycle("none: heap memory", pool, live: 1000)]))
  }
  return contests
}
