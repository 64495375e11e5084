import Ashlar
import CPoolPeers
import Glibc
import PoolWorkloads

/// Pairs in one measurement.
let count = 200_000
let objectBytes = MemoryLayout<Object>.stride
// One contest runs at a time.
nonisolated(unsafe) let objects = UnsafeMutablePointer<UnsafeMutablePointer<Object>>.allocate(capacity: 1000)
nonisolated(unsafe) let raw = UnsafeMutableRawPointer(objects).assumingMemoryBound(to: UnsafeMutableRawPointer?.self)

func now() -> Double {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}

/// Seconds for one of `count` that `body` does.
func each(_ count: Int, _ body: () -> Void) -> Double {
  let start = now()
  body()
  return (now() - start) / Double(count)
}

/// Seconds for one of 1000, given back out of the clock's sight.
func eachOfBatches(_ allocate: () -> Void, _ free: () -> Void) -> Double {
  var total = 0.0
  for _ in 0..<200 {
    total += each(1000, allocate)
    free()
  }
  return total / 200
}

/// A pool that outlives the closures that use it.
final class Pool {
  let pool: ObjectPool<Object>
  init(_ capacity: Int, preallocated: Bool = true, _ allocator: any BlockAllocator = PoolAllocator()) {
    guard let made = try? ObjectPool<Object>(capacity: capacity, allocator: allocator) else { fatalError("no pool") }
    if preallocated { try? made.preallocate(capacity) }
    pool = made
  }
}
