import Ashlar
import Benchmark
import CPoolPeers
import PoolWorkloads

// The same workloads as pool-ratios, each for itself, for baselines and thresholds of one machine: `swift package benchmark`. What is
// compared with what else is there is in turns: pool-ratios.

/// A pool that outlives the closures that use it, and room for its objects.
private final class Bench: @unchecked Sendable {
  let pool: ObjectPool<Object>
  let objects = UnsafeMutablePointer<UnsafeMutablePointer<Object>>.allocate(capacity: 1000)

  init(_ capacity: Int = 1000, preallocated: Bool = true, _ allocator: any BlockAllocator = PoolAllocator()) {
    guard let made = try? ObjectPool<Object>(capacity: capacity, allocator: allocator) else { fatalError("no pool") }
    if preallocated { try? made.preallocate(capacity) }
    pool = made
  }

  deinit { objects.deallocate() }

  var raw: UnsafeMutablePointer<UnsafeMutableRawPointer?> { UnsafeMutableRawPointer(objects).assumingMemoryBound(to: UnsafeMutableRawPointer?.self) }
}

let benchmarks: @Sendable () -> Void = {
  Benchmark.defaultConfiguration = .init(
    metrics: [.wallClock, .instructions, .throughput], scalingFactor: .one, maxDuration: .seconds(1), maxIterations: 2000)

  /// 1,000 objects an iteration.
  func add(_ name: String, _ bench: Bench = Bench(), _ body: @escaping @Sendable (Bench) -> Void) {
    Benchmark(name) { benchmark in
      for _ in benchmark.scaledIterations { body(bench) }
    }
  }

  // Against the standard allocator.
  add("Standard: malloc and free") { _ in peer_malloc_and_free(1000, 64) }
  add("Standard: ObjectPool") { ObjectWorkloads.allocateAndFree($0.pool, 1000) }
  // Pool sizes.
  for size in [10, 50, 100, 500, 1000] {
    let bench = Bench(size)
    for _ in 1..<size { _ = bench.pool.allocateIfPossible() }
    add("Size: \(size)", bench) { ObjectWorkloads.allocateAndFree($0.pool, 1000) }
  }
  // Preallocation. Fresh pages each time, from the system.
  Benchmark("Preallocation: a new pool") { benchmark in
    let allocator = try NUMAAllocator(.local)
    for _ in benchmark.scaledIterations {
      let bench = Bench(preallocated: true, allocator)
      benchmark.startMeasurement()
      ObjectWorkloads.cycle(bench.pool, bench.objects, live: 1000, 1000)
      benchmark.stopMeasurement()
    }
  }
  // Placement.
  for (name, policy) in [("local", NUMAPolicy.local), ("interleave", .interleave()), ("bind", .bind(to: Set(NUMA.nodes)))] {
    guard let allocator = try? NUMAAllocator(policy) else { continue }
    add("NUMA: \(name)", Bench(1000, allocator)) { ObjectWorkloads.cycle($0.pool, $0.objects, live: 1000, 1000) }
  }
  // Throughput.
  add("Throughput: 100 objects") { ObjectWorkloads.cycle($0.pool, $0.objects, live: 100, 1000) }
  // Statistics.
  add("Statistics: not read") { ObjectWorkloads.allocateAndFree($0.pool, 1000, readingFigures: false) }
  add("Statistics: read") { ObjectWorkloads.allocateAndFree($0.pool, 1000, readingFigures: true) }

  // Arenas: 1,000 requests an iteration.
  Benchmark("Arena: a thread's own") { benchmark in
    let arena = try Arena()
    ArenaWorkloads.sizes.withUnsafeBufferPointer { sizes in
      for _ in benchmark.scaledIterations { ArenaWorkloads.rounds(arena, sizes, 1) }
    }
  }
  Benchmark("Arena: synchronized_pool_resource") { benchmark in
    let resource = peer_pool_resource_make()
    defer { peer_pool_resource_destroy(resource) }
    for _ in benchmark.scaledIterations { peer_pool_resource_rounds(resource, ArenaWorkloads.sizes, ArenaWorkloads.sizes.count, 1) }
  }
}
