import Ashlar

// misuser ACT SIZE: does one thing that no program may, or nothing wrong, to a block of the pool.

func nothing(_ pool: PoolAllocator, _ block: UnsafeMutablePointer<UInt8>, _ size: Int) throws {
  for offset in 0..<size { block[offset] &+= 1 }
  pool.deallocate(block)
  // The same memory for other owners.
  for _ in 0..<100 {
    let next = try pool.allocateZeroed(size: size)
    if next.load(as: UInt8.self) != 0 { print("not zero") }
    pool.deallocate(try pool.reallocate(next, size: size + 1))
  }
  pool.trim()
}

let act = CommandLine.arguments[1]
let size = Int(CommandLine.arguments[2])!
let pool = PoolAllocator()
let block = try pool.allocate(size: size).initializeMemory(as: UInt8.self, repeating: 1, count: size)
switch act {
case "nothing": try nothing(pool, block, size)
case "read after free":
  pool.deallocate(block)
  print(block[size / 2])
case "write after free":
  pool.deallocate(block)
  block[size / 2] = 7
case "read behind": print(block[size])
case "write behind": block[size] = 7
case "read before": print(block[-1])
case "pool and arena":
  let objects = try ObjectPool<(Int, Int)>(capacity: size)
  let arena = try Arena()
  for _ in 0..<3 {
    try objects.preallocate(size)
    let all = try (0..<size).map { try objects.make(($0, 1)) }
    all.forEach { objects.destroy($0) }
    try arena.allocate(size: size).initializeMemory(as: UInt8.self, repeating: 1, count: size)
    arena.reset()
  }
case "read object after free":
  let objects = try ObjectPool<(Int, Int)>(capacity: size)
  let object = try objects.make((1, 2))
  objects.deallocate(object)
  print(object.pointee.1)
case "write object behind":
  let objects = try ObjectPool<(Int, Int)>(capacity: size + 1)
  try objects.allocate()[1].0 = 7
case "read after reset":
  let arena = try Arena()
  let bytes = try arena.allocate(size: size).initializeMemory(as: UInt8.self, repeating: 1, count: size)
  arena.reset()
  print(bytes[size / 2])
default: fatalError("no such act")
}
