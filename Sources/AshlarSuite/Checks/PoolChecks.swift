import Ashlar
import Glibc

extension Check {
  static let objectPool = Check(
    "object-pool", "object pools of many sizes, alignments and capacities against the oracle: full, empty, reused, counted"
  ) { context in
    var generator = context.generator()
    let shapes = [(1, 1), (8, 8), (16, 16), (24, 8), (64, 64), (100, 4), (1000, 8), (4096, 4096), (5000, 32)]
    let rounds = context.share(of: 400)
    for round in 0..<rounds {
      let (size, alignment) = shapes[round % shapes.count]
      PoolAllocator.guards = .init(canaries: round % 4 == 3 ? 1 : 0)
      guard let subject = SlotSubject(capacity: round == 0 ? 0 : generator.logarithmic(in: 1...2000), size: size, alignment: alignment) else {
        return context.find("no pool")
      }
      PoolAllocator.guards = .init()
      churn(subject, &generator, context)
      subject.memory.release()
      context.advance(round, of: rounds)
    }
    ration(context)
  }

  // Of an allocator that refuses one of the two blocks nothing is kept.
  private static func ration(_ context: CheckContext) {
    for blocks in 0...2 {
      let allocator = RationedAllocator(blocks: blocks)
      let made = (try? SharedObjectPool<Line>(capacity: 100, allocator: allocator)) != nil
      context.require(made == (blocks == 2), "a pool is made of \(blocks) blocks")
      context.require(allocator.live == 0, "\(allocator.live) blocks are left over")
      context.count(1)
    }
  }

  // The oracle sees to contents, alignment and overlaps; what the pool says of itself is held against the oracle.
  private static func churn(_ subject: SlotSubject, _ generator: inout SeededGenerator, _ context: CheckContext) {
    let memory = subject.memory
    let capacity = subject.capacity
    var oracle = Oracle(subject, seed: generator.next())
    var (allocations, peak) = (0, 0)
    var lastFreed: UInt?
    for step in 0..<min(4 * capacity + 20, 4000) {
      // Now more of the one, now more of the other, so that it fills up and runs empty.
      let allocates = Int.random(in: 0..<8, using: &generator) < (step / (capacity + 4) % 2 == 0 ? 6 : 2)
      if allocates || oracle.live.isEmpty {
        let before = oracle.live.count
        let block = oracle.allocate(size: subject.size, alignment: subject.alignment)
        context.require((block != nil) == (before < capacity), "with \(before) of \(capacity) live the answer is \(block as Any)")
        if let block, let lastFreed { context.require(block.address == lastFreed, "what was freed last is not the next to be taken") }
        if block != nil { (allocations, lastFreed) = (allocations + 1, nil) }
      } else {
        let index = Int.random(in: 0..<oracle.live.count, using: &generator)
        lastFreed = oracle.live[index].address
        oracle.free(index)
      }
      peak = max(peak, oracle.live.count)
    }
    let figures = memory.statistics
    context.require(figures.capacity == capacity && figures.liveObjects == oracle.live.count, "\(figures), not \(oracle.live.count) live")
    context.require(figures.peakObjects == peak, "\(figures), not \(peak) at most")
    context.require(figures.allocations == allocations && figures.frees == allocations - oracle.live.count, "\(figures), not \(allocations)")
    context.require(memory.slots.checkInvariants(), "the pool's records do not agree")
    let left = capacity - oracle.live.count
    context.require(memory.preallocate(left) && !memory.preallocate(left + 1), "not \(left) objects are left of \(capacity)")
    context.require(memory.statistics == figures && memory.slots.checkInvariants(), "preallocating changes what is live")
    context.close(&oracle)
    context.require(memory.slots.checkInvariants() && memory.statistics.liveObjects == 0, "the empty pool's records do not agree")
    context.count(allocations)
  }

  static let sharedPool = Check(
    "shared-pool", "one object pool, four threads: contents, objects freed elsewhere, and one freed by two threads at once"
  ) { context in
    guard let pool = try? SharedObjectPool<Line>(capacity: 600) else { return context.find("no pool") }
    let exchange = Exchange()
    let rounds = context.share(of: 40_000)
    Threads.run(4) { thread in
      var generator = context.generator(thread)
      for _ in 0..<rounds {
        var parcel: Parcel?
        if let object = pool.allocateIfPossible() {
          parcel = Parcel(block: UInt(bitPattern: object), size: 64, seed: generator.next())
          Pattern.fill(object, 0..<64, seed: parcel!.seed)
        }
        if let other = exchange.swap(parcel, Int.random(in: 0..<1024, using: &generator)) { giveBack(other, pool, context) }
      }
    }
    exchange.takeAll().forEach { giveBack($0, pool, context) }
    let figures = pool.statistics
    context.require(figures.liveObjects == 0 && figures.allocations == figures.frees, "\(figures) after all is freed")
    context.require(figures.peakObjects <= 600 && pool.checkInvariants(), "the pool's records do not agree")
    context.count(figures.allocations)
    freeAtOnce(pool, context)
  }

  private static func giveBack(_ parcel: Parcel, _ pool: SharedObjectPool<Line>, _ context: CheckContext) {
    let object = UnsafeMutablePointer<Line>(bitPattern: parcel.block)!
    if Pattern.firstDifference(object, 0..<64, seed: parcel.seed) != nil { context.find("an object at \(hex(parcel.block)) has changed") }
    pool.deallocate(object)
  }

  private static func freeAtOnce(_ pool: SharedObjectPool<Line>, _ context: CheckContext) {
    let rounds = context.share(of: 2000)
    let meeting = Rendezvous(parties: 2)
    let object = Guarded<UInt>(0)
    let faults = FaultRecorder.record {
      Threads.run(2) { thread in
        for _ in 0..<rounds {
          if thread == 0 { object.withLock { $0 = UInt(bitPattern: pool.allocateIfPossible()) } }
          meeting.meet()
          let shared = UnsafeMutablePointer<Line>(bitPattern: object.withLock { $0 })!
          meeting.meet()
          pool.deallocate(shared)
          meeting.meet()
        }
      }
    }
    context.require(faults.count == rounds, "of \(rounds) objects freed by two threads \(faults.count) were reported")
    context.require(faults.allSatisfy { $0.kind == "double free" }, "a double free is called \(faults.first { $0.kind != "double free" }?.kind ?? "")")
    context.require(pool.statistics.liveObjects == 0 && pool.checkInvariants(), "the pool's records do not agree after double frees")
    context.count(rounds)
  }

  static let poolLimits = Check("pool-limits", "object pools that are full; what may be preallocated; damage that a pool for several threads finds") {
    context in
    do throws(AllocationError) {
      let pool = try ObjectPool<Int>(capacity: 3)
      let shared = try SharedObjectPool<Int>(capacity: 3)
      context.require(pool.capacity == 3 && shared.capacity == 3, "other capacities than 3")
      try pool.preallocate(0)
      try pool.preallocate(3)
      try shared.preallocate(3)
      var objects = [try pool.allocate(), try pool.make(7)]
      var others = [try shared.allocate(), try shared.make(7)]
      context.require(objects[1].pointee == 7 && others[1].pointee == 7, "objects of other values")
      try pool.preallocate(1)
      try shared.preallocate(1)
      for count in [2, 3, .max] {
        full("\(count) objects preallocated", context) { () throws(AllocationError) in try pool.preallocate(count) }
        full("\(count) objects preallocated", context) { () throws(AllocationError) in try shared.preallocate(count) }
      }
      objects.append(try pool.allocate())
      others.append(try shared.allocate())
      full("a fourth object", context) { () throws(AllocationError) in _ = try pool.allocate() }
      full("a fourth object", context) { () throws(AllocationError) in _ = try pool.make(1) }
      full("a fourth object", context) { () throws(AllocationError) in _ = try shared.allocate() }
      full("a fourth object", context) { () throws(AllocationError) in _ = try shared.make(1) }
      context.require(pool.allocateIfPossible() == nil && shared.allocateIfPossible() == nil, "a fourth object")
      for object in objects { pool.destroy(object) }
      for object in others { shared.destroy(object) }
      for figures in [pool.statistics, shared.statistics] {
        let all = [figures.capacity, figures.liveObjects, figures.peakObjects, figures.allocations, figures.frees]
        context.require(all == [3, 0, 3, 3, 3], "\(figures)")
      }
    } catch { context.find("refused: \(error)") }
    touched(context)
    PoolAllocator.guards = .init(canaries: 1)
    defer { PoolAllocator.guards = .init() }
    guard let pool = try? SharedObjectPool<Int>(capacity: 3), let object = pool.allocateIfPossible() else { return context.find("no pool") }
    pool.deallocate(object)
    UnwatchedMemory.invert(UnsafeMutableRawPointer(object))
    var again: UnsafeMutablePointer<Int>?
    let faults = FaultRecorder.record { again = pool.allocateIfPossible() }
    context.require(again == object && faults.map(\.kind) == ["write after free"], "a write after free in a shared pool draws \(faults)")
    context.require(FaultRecorder.record { pool.deallocate(object) }.isEmpty, "a live object is not taken back")
  }

  // Of what was preallocated every page is there, of the slots and of their records, and no call needs a new one.
  private static func touched(_ context: CheckContext) {
    typealias Slots = SlotPool<HardwareMemory>
    let limits = [1 << 32, 1 << 32 + 1].map { Slots.Layout(slots: $0, size: 16, alignment: 16) != nil }
    context.require(limits == [true, false], "64 GiB of slots, and more: \(limits)")
    for size in [Int.max, .max - 14, .max - 63] {
      context.require(Slots.Layout(slots: 1, size: size, alignment: 64) == nil, "a slot of \(size) bytes is granted")
    }
    guard let layout = Slots.Layout(slots: 100_000, size: 16, alignment: 16), let records = System.map(layout.recordBytes),
      let objects = System.map(layout.objectBytes)
    else { return context.find("no memory") }
    let slots = Slots(layout, records: records, objects: objects, freed: FreedBytes())
    context.require(slots.touch(50_000), "half of the slots can't be preallocated")
    let list = records + 64
    let left = [ResidentPages(objects, 800_000), ResidentPages(list, 200_000), ResidentPages(list + 400_000, 50_000)].map(\.missing)
    context.require(left == [0, 0, 0], "pages of the slots, their list and their tags are left: \(left)")
    System.unmap(records, layout.recordBytes)
    System.unmap(objects, layout.objectBytes)
    context.count(1)
  }

  private static func full(_ what: String, _ context: CheckContext, _ body: () throws(AllocationError) -> Void) {
    do throws(AllocationError) {
      try body()
      context.find("\(what) of a pool of three")
    } catch { context.require(error == .capacityReached(3), "\(what): \(error)") }
    context.count(1)
  }

  static let poolMisuse = Check(
    "pool-misuse", "double and invalid frees to an object pool, and writes after one: the exact report, and no effect"
  ) { context in
    for guarded in [false, true] { misuse(guarded: guarded, context) }
    destroyTwice(context)
  }

  // A value's life ends once, whatever its owner does.
  private static func destroyTwice(_ context: CheckContext) {
    let ended = SharedCount()
    guard let pool = try? ObjectPool<Life>(capacity: 2) else { return context.find("no pool") }
    guard let shared = try? SharedObjectPool<Life>(capacity: 2) else { return context.find("no pool") }
    guard let object = try? pool.make(Life(ended)), let other = try? shared.make(Life(ended)) else { return context.find("no object") }
    for destroy in [{ pool.destroy(object) }, { shared.destroy(other) }] {
      let before = ended.value
      let faults = FaultRecorder.record {
        destroy()
        destroy()
      }
      context.require(faults.map(\.kind) == ["double free"], "destroying twice draws \(faults)")
      context.require(ended.value == before + 1, "a life that was ended twice ended \(ended.value - before) times")
      context.count(1)
    }
  }

  private static func misuse(guarded: Bool, _ context: CheckContext) {
    PoolAllocator.guards = .init(canaries: guarded ? 1 : 0)
    guard let pool = try? ObjectPool<Line>(capacity: 100) else { return context.find("no pool") }
    guard let other = try? ObjectPool<Line>(capacity: 100) else { return context.find("no pool") }
    guard let object = pool.allocateIfPossible(), let foreign = other.allocateIfPossible(), let freed = pool.allocateIfPossible()
    else { return context.find("no object") }
    pool.deallocate(freed)
    PoolAllocator.guards = .init()
    let block = UnsafeMutableRawPointer(object)
    let heapBlock = PoolAllocator().allocateIfPossible(size: 64)!
    defer { PoolAllocator().deallocate(heapBlock) }
    var local = 0
    let cases: [(String, UnsafeMutableRawPointer, String, String)] = [
      ("a freed object", UnsafeMutableRawPointer(freed), "double free", "already free: in its object pool"),
      ("the middle of an object", block + 16, "invalid pointer", "inside an object of the pool"),
      ("a misaligned address", block + 1, "invalid pointer", "inside an object of the pool"),
      ("an object's last byte", block + 63, "invalid pointer", "inside an object of the pool"),
      ("the middle of a freed object", UnsafeMutableRawPointer(freed) + 32, "invalid pointer", "inside an object of the pool"),
      ("an untouched slot", block + 50 * 64, "invalid pointer", "never allocated: untouched in its object pool"),
      ("what lies behind the pool", block + 100 * 64, "invalid pointer", "not from this object pool"),
      ("what lies before the pool", block - 64, "invalid pointer", "not from this object pool"),
      ("another pool's object", UnsafeMutableRawPointer(foreign), "invalid pointer", "not from this object pool"),
      ("a block of the heap", heapBlock, "invalid pointer", "not from this object pool"),
      ("an unmapped address", UnsafeMutableRawPointer(bitPattern: 0x1000)!, "invalid pointer", "not from this object pool"),
      ("the last address", UnsafeMutableRawPointer(bitPattern: UInt.max)!, "invalid pointer", "not from this object pool"),
      ("the stack", withUnsafeMutablePointer(to: &local) { UnsafeMutableRawPointer($0) }, "invalid pointer", "not from this object pool"),
    ] + [2, 4, 8].map { ("byte \($0) of an object", block + $0, "invalid pointer", "inside an object of the pool") }
    let figures = pool.statistics
    for (name, address, kind, state) in cases {
      for destroys in [false, true] {
        let faults = FaultRecorder.record {
          let object = address.assumingMemoryBound(to: Line.self)
          if destroys { pool.destroy(object) } else { pool.deallocate(object) }
        }
        let expected = "\(kind): free of \(hex(UInt(bitPattern: address))), \(state)"
        context.require(faults.map(\.description) == [expected], "\(name) draws \(faults), not \(expected)")
        context.require(faults.allSatisfy { $0.level == nil && $0.operation == "free" }, "\(name) is said to be the heap's")
        let size = state.hasPrefix("not from") ? 0 : 64
        context.require(faults.allSatisfy { $0.blockSize == size }, "\(name) is said to be of \(faults.map(\.blockSize))")
      }
      context.require(pool.statistics == figures && pool.checkInvariants(), "\(name) changes the pool")
      context.count(2)
    }
    writeAfterFree(pool, guarded: guarded, context)
    pool.deallocate(object)
    other.deallocate(foreign)
  }

  private static func writeAfterFree(_ pool: borrowing ObjectPool<Line>, guarded: Bool, _ context: CheckContext) {
    for offset in [0, 7, 8, 63] {
      let object = pool.allocateIfPossible()!
      pool.deallocate(object)
      let byte = UnsafeMutableRawPointer(object) + offset
      UnwatchedMemory.invert(byte)
      var again: UnsafeMutablePointer<Line>?
      let faults = FaultRecorder.record { again = pool.allocateIfPossible() }
      context.require(again == object, "a written object is not handed out")
      let expected = guarded ? ["write after free: reuse of \(hex(UInt(bitPattern: object))), free: in its object pool"] : []
      context.require(faults.map(\.description) == expected, "a write to byte \(offset) draws \(faults)")
      context.require(faults.allSatisfy { $0.offset == offset && $0.blockSize == 64 }, "a write to byte \(offset) draws \(faults)")
      if let again { pool.deallocate(again) }
      context.count(1)
    }
  }
}

/// Counts its end.
private struct Life: ~Copyable {
  private let ended: SharedCount
  init(_ ended: SharedCount) { self.ended = ended }
  deinit { ended.add(1) }
}

/// 64 bytes.
private typealias Line = (Int, Int, Int, Int, Int, Int, Int, Int)

/// The slots of an object pool, for an oracle: all requests are for `size` bytes.
private struct SlotSubject: Subject, @unchecked Sendable {
  let memory: PoolMemory
  let capacity: Int
  let size: Int
  let alignment: Int
  var name: String { "object pool" }

  init?(capacity: Int, size: Int, alignment: Int) {
    let made = try? PoolMemory(
      capacity: capacity, size: size, alignment: alignment, allocator: PoolAllocator(), file: #fileID, line: #line)
    guard let made else { return nil }
    memory = made
    self.capacity = capacity
    self.size = size
    self.alignment = alignment
  }

  func allocate(size: Int, alignment: Int, zeroed: Bool) -> UnsafeMutableRawPointer? { memory.take() }
  func reallocate(_ block: UnsafeMutableRawPointer, size: Int) -> UnsafeMutableRawPointer? { nil }
  func free(_ block: UnsafeMutableRawPointer?) { block.map { memory.put($0) } }
  func free(_ block: UnsafeMutableRawPointer?, size: Int) { free(block) }
  func usableSize(_ block: UnsafeMutableRawPointer?) -> Int { size }
  func leastAlignment(size: Int) -> Int { 16 }
}
