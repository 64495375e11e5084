import Ashlar

extension Check {
  static let arena = Check(
    "arena", "arenas against the oracle: the same requests after a reset get the same addresses, and memory does not grow"
  ) { context in
    let pool = PoolAllocator()
    let rounds = context.share(of: 30)
    for round in 0..<rounds {
      pool.trim()
      let before = pool.statistics().total.liveBlocks
      exercise(round, context)
      pool.trim()
      context.require(pool.statistics().total.liveBlocks == before, "blocks are left over after an arena")
      context.advance(round, of: rounds)
    }
  }

  private static func exercise(_ round: Int, _ context: CheckContext) {
    var generator = context.generator(round)
    PoolAllocator.guards = .init(canaries: round % 4 == 3 ? 1 : 0)
    guard let subject = ArenaSubject(chunkSize: generator.logarithmic(in: 0...100_000)) else { return context.find("no arena") }
    PoolAllocator.guards = .init()
    repeatRequests(subject, &generator, context)
    boundGrowth(subject, &generator, context)
    subject.arena.release()
    context.require(subject.arena.statistics.reservedBytes == 0, "memory is left after a release")
    context.require((try? subject.arena.allocate(size: 10)) != nil, "no memory after a release")
    ration(context)
  }

  // A chunk that the allocator refuses leaves the arena as it was.
  private static func ration(_ context: CheckContext) {
    let allocator = RationedAllocator(blocks: 2)
    guard let arena = try? Arena(chunkSize: 1000, allocator: allocator) else { return context.find("no arena") }
    let (first, second) = (try? arena.allocate(size: 900), try? arena.allocate(size: 900))
    for size in [2000, 900, 100_000] {
      context.require((try? arena.allocate(size: size)) == nil, "memory that the allocator does not have is granted")
    }
    context.require(allocator.live == 2 && arena.statistics.chunks == 2 && arena.checkInvariants(), "a refusal changes the arena")
    arena.reset()
    context.require((try? arena.allocate(size: 900)) == first && (try? arena.allocate(size: 900)) == second, "other addresses after a refusal")
    arena.release()
    context.require(allocator.live == 0, "\(allocator.live) blocks are left over")
    context.count(3)
  }

  // Typed requests, and chunks that are filled to the last byte.
  static let chunks = Check("chunks", "arenas: what fits in a chunk to the last byte, and what needs another; requests by type") { context in
    let (words, memory) = (ZeroedMemory(bytes: BumpChunks<HardwareMemory>.bytes), ZeroedMemory(bytes: 256))
    let chunks = BumpChunks<HardwareMemory>(words: words.start, freed: FreedBytes(marks: MemoryMarks(to: nil)))
    context.require(chunks.chunkNeeded(100, 16) == 148, "a chunk for 100 bytes is one of \(chunks.chunkNeeded(100, 16) ?? 0)")
    context.require(chunks.chunkNeeded(.max, 16) == .max && chunks.replaceNext(memory.start, bytes: 256) == nil, "another first chunk")
    for (size, alignment, fits) in [(224, 16, true), (225, 16, false), (192, 64, true), (193, 64, false), (0, 16, true), (300, 1, false)] {
      context.require((chunks.chunkNeeded(size, alignment) == nil) == fits, "\(size) bytes aligned to \(alignment) in a chunk of 224")
      context.count(1)
    }
    chunks.advance()
    context.require(chunks.take(225, 1) == nil && chunks.take(224, 1) == memory.start + 32, "a chunk has other bytes")
    context.require(chunks.take(1, 1) == nil && chunks.counts == (1, 256, 224), "a full chunk is \(chunks.counts)")
    chunks.reset()
    chunks.advance()
    _ = chunks.take(100, 1)
    chunks.reset()
    context.require(chunks.take(1, 1) == nil, "a byte is taken from a chunk that was left with room")
    do throws(AllocationError) {
      let arena = try Arena()
      let shared = try SharedArena()
      let counts = (try arena.allocate(Int.self, count: 10).count, try shared.allocate(Int.self, count: 10).count)
      context.require(counts == (10, 10), "other counts than 10: \(counts)")
      _ = (try arena.allocate(Int32.self), try shared.allocate(Int32.self))
      let used = (arena.statistics.usedBytes, shared.statistics.usedBytes)
      context.require(used == (84, 84), "\(used) bytes for ten words and a half")
      _ = (try arena.allocate(size: 0, alignment: 1), try shared.allocate(size: 0, alignment: 1))
      let one = (arena.statistics.usedBytes, shared.statistics.usedBytes)
      context.require(one == (85, 85), "no bytes take other than one: \(one)")
      let first = (arena.statistics.reservedBytes, shared.statistics.reservedBytes)
      context.require(first == (16 << 10, 16 << 10), "first chunks of \(first) bytes")
      let released = try SharedArena()
      _ = try released.allocate(size: 100)
      released.release()
      context.require(released.statistics.reservedBytes == 0, "a shared arena keeps \(released.statistics.reservedBytes) bytes that it released")
      for size in [0, 1 << 40] { _ = try SharedArena(chunkSize: size) }
      for count in [-1, .max] {
        context.require((try? arena.allocate(Int.self, count: count)) == nil, "\(count) words are granted")
        context.require((try? shared.allocate(Int.self, count: count)) == nil, "\(count) words are granted to one of several threads")
      }
      // No bytes, were the product cut off at 64 bits.
      context.require((try? shared.allocate((Int64, Int16).self, count: .max / 8 + 1)) == nil, "a product that overflows is granted")
      context.require((try? arena.allocate((Int64, Int16).self, count: .max / 8 + 1)) == nil, "a product that overflows is granted")
      // Each chunk is as large as all before it, from 256 B to 1 MiB.
      let growing = try Arena(chunkSize: 0)
      for _ in 0..<(10 << 10) { _ = try growing.allocate(size: 1000) }
      let (grown, reserved) = (growing.statistics.chunks, growing.statistics.reservedBytes)
      context.require(grown == 20 && reserved < 11 << 20, "10 MiB are in \(grown) chunks of \(reserved) bytes together")
    } catch { context.find("a request by type, or an arena: \(error)") }
    for size in [-1, 1 << 40 + 1] { context.require((try? SharedArena(chunkSize: size)) == nil, "an arena with chunks of \(size) bytes") }
    // Damage is reported by an arena for several threads too.
    PoolAllocator.guards = .init(canaries: 1)
    defer { PoolAllocator.guards = .init() }
    guard let guarded = try? SharedArena(), let block = try? guarded.allocate(size: 100) else { return context.find("no arena") }
    guarded.reset()
    UnwatchedMemory.invert(block)
    let faults = FaultRecorder.record { _ = try? guarded.allocate(size: 100) }
    context.require(faults.map(\.kind) == ["write after free"], "a write after the reset of a shared arena draws \(faults)")
  }

  // Large requests, small ones, and ones of size 0, each aligned somehow.
  private static func request(_ generator: inout SeededGenerator) -> (size: Int, alignment: Int) {
    (generator.logarithmic(in: 0...300_000), 1 << Int.random(in: 0...13, using: &generator))
  }

  private static func repeatRequests(_ subject: ArenaSubject, _ generator: inout SeededGenerator, _ context: CheckContext) {
    let requests = (0..<200).map { _ in request(&generator) }
    var first: [UInt] = []
    for repetition in 0..<3 {
      var oracle = Oracle(subject, seed: generator.next())
      let addresses = requests.map { size, alignment in
        oracle.allocate(size: size, alignment: max(alignment, 16))?.address ?? 0
      }
      oracle.verifyAll()
      oracle.findings.forEach(context.find)
      context.require(!addresses.contains(0), "a request is refused")
      if repetition == 0 { first = addresses }
      context.require(addresses == first, "repetition \(repetition) of the same requests gets other addresses")
      let figures = subject.arena.statistics
      context.require(figures.usedBytes >= requests.reduce(0) { $0 + $1.size }, "less is used than was handed out: \(figures)")
      context.require(figures.usedBytes <= figures.reservedBytes && subject.arena.checkInvariants(), "the arena's records do not agree")
      subject.arena.reset()
      context.require(subject.arena.statistics.usedBytes == 0, "bytes are used after a reset")
      context.require(subject.arena.statistics.reservedBytes == figures.reservedBytes, "a reset changes what is reserved")
      context.count(requests.count)
    }
  }

  // Other requests each time. Whatever their order, the list is no longer than the longest run of them needs.
  private static func boundGrowth(_ subject: ArenaSubject, _ generator: inout SeededGenerator, _ context: CheckContext) {
    for _ in 0..<50 {
      for _ in 0..<40 {
        let (size, alignment) = request(&generator)
        guard let block = try? subject.arena.allocate(size: size, alignment: alignment) else { return context.find("a request is refused") }
        context.require(UInt(bitPattern: block) % UInt(alignment) == 0, "\(size) bytes aligned to \(alignment) lie at \(block)")
        if size > 0 { block.storeBytes(of: 1, toByteOffset: size - 1, as: UInt8.self) }
      }
      subject.arena.reset()
      context.count(40)
    }
    let figures = subject.arena.statistics
    context.require(figures.chunks <= 240, "\(figures.chunks) chunks for 40 requests at a time")
    context.require(subject.arena.checkInvariants(), "the arena's records do not agree")
  }

  static let sharedArena = Check("shared-arena", "one arena, four threads: no overlap, and contents stay until the reset") { context in
    guard let arena = try? SharedArena() else { return context.find("no arena") }
    let meeting = Rendezvous(parties: 4)
    let rounds = context.share(of: 50)
    Threads.run(4) { thread in
      var generator = context.generator(thread)
      for _ in 0..<rounds {
        var parcels: [Parcel] = []
        for _ in 0..<200 {
          let size = generator.logarithmic(in: 1...5000)
          guard let block = try? arena.allocate(size: size) else { return context.find("a request is refused") }
          parcels.append(Parcel(block: UInt(bitPattern: block), size: size, seed: generator.next()))
          Pattern.fill(block, 0..<size, seed: parcels.last!.seed)
        }
        meeting.meet()
        for parcel in parcels where Pattern.firstDifference(UnsafeRawPointer(bitPattern: parcel.block)!, 0..<parcel.size, seed: parcel.seed) != nil {
          context.find("\(parcel.size) bytes at \(hex(parcel.block)) have changed")
        }
        meeting.meet()
        if thread == 0 { arena.reset() }
        meeting.meet()
        context.count(200)
      }
    }
    context.require(arena.statistics.usedBytes == 0 && arena.checkInvariants(), "the arena's records do not agree")
  }

  static let arenaMisuse = Check(
    "arena-misuse", "requests that make no sense; writes after a reset, where all is guarded: the exact report"
  ) { context in
    guard let arena = try? Arena(chunkSize: 4096) else { return context.find("no arena") }
    func expect(_ expected: AllocationError, size: Int, alignment: Int) {
      require(expected, arena, size: size, alignment: alignment, context)
    }
    for alignment in [0, 3, -1, 24, Int.min, Int.max, 1 << 41] { expect(.invalidAlignment(alignment), size: 64, alignment: alignment) }
    for size in [Int.min, -1] { expect(.invalidSize, size: size, alignment: 16) }
    for size in [Int.max, Int.max - 15, Int.max - 48, 1 << 47] {
      for alignment in [1, 16, 1 << 20] { expect(.outOfMemory(size: size), size: size, alignment: alignment) }
    }
    expect(.outOfMemory(size: Int.max / 2 + 1), size: Int.max / 2 + 1, alignment: 1 << 40)
    context.require((try? arena.allocate(Int.self, count: Int.max / 8 + 1)) == nil, "a product that overflows was granted")
    context.require(arena.statistics.chunks == 0 && arena.checkInvariants(), "refusals leave chunks")
    for guarded in [false, true] { writeAfterReset(guarded: guarded, context) }
  }

  private static func require(
    _ expected: AllocationError, _ arena: borrowing Arena, size: Int, alignment: Int, _ context: CheckContext
  ) {
    do throws(AllocationError) {
      _ = try arena.allocate(size: size, alignment: alignment)
      context.find("\(size) bytes aligned to \(alignment) were granted")
    } catch { context.require(error == expected, "\(size) bytes aligned to \(alignment): \(error), not \(expected)") }
    context.count(1)
  }

  private static func writeAfterReset(guarded: Bool, _ context: CheckContext) {
    PoolAllocator.guards = .init(canaries: guarded ? 1 : 0)
    guard let arena = try? Arena(chunkSize: 4096) else { return context.find("no arena") }
    PoolAllocator.guards = .init()
    for offset in [0, 5, 8, 99] {
      let block = try! arena.allocate(size: 100)
      arena.reset()
      let byte = block + offset
      UnwatchedMemory.invert(byte)
      var again: UnsafeMutableRawPointer?
      // What lies behind was never handed out, and may hold anything.
      let faults = FaultRecorder.record { again = try? arena.allocate(size: 300) }
      context.require(again == block, "the same bytes are not handed out again")
      let expected = guarded ? ["write after free: reuse of \(hex(UInt(bitPattern: block))), free: the arena was reset"] : []
      context.require(faults.map(\.description) == expected, "a write to byte \(offset) draws \(faults)")
      context.require(faults.allSatisfy { $0.offset == offset && $0.level == nil }, "a write to byte \(offset) draws \(faults)")
      arena.reset()
      // A shorter run leaves what lies behind it checked as before.
      _ = try! arena.allocate(size: 10)
      arena.reset()
      UnwatchedMemory.invert(block + 250)
      let behind = FaultRecorder.record { _ = try? arena.allocate(size: 300) }
      context.require(behind.map(\.offset) == (guarded ? [250] : []), "a write behind a shorter run draws \(behind)")
      arena.reset()
      context.require(FaultRecorder.record { _ = try? arena.allocate(size: 10); arena.reset() }.isEmpty, "a report without a write")
      context.require(FaultRecorder.record { _ = try? arena.allocate(size: 3000); arena.reset() }.isEmpty, "a report without a write")
      arena.release()
      context.count(1)
    }
  }
}

/// An arena for an oracle. Nothing is given back alone.
private final class ArenaSubject: Subject, @unchecked Sendable {
  let arena: Arena
  let name = "arena"

  init?(chunkSize: Int) {
    guard let made = try? Arena(chunkSize: chunkSize) else { return nil }
    arena = made
  }

  func allocate(size: Int, alignment: Int, zeroed: Bool) -> UnsafeMutableRawPointer? {
    try? arena.allocate(size: size, alignment: alignment)
  }
  func reallocate(_ block: UnsafeMutableRawPointer, size: Int) -> UnsafeMutableRawPointer? { nil }
  func free(_ block: UnsafeMutableRawPointer?) {}
  func free(_ block: UnsafeMutableRawPointer?, size: Int) {}
  func usableSize(_ block: UnsafeMutableRawPointer?) -> Int { .max }
  func leastAlignment(size: Int) -> Int { 16 }
}
