import Ashlar

/// What AddressSanitizer and memcheck are told of our memory, told to the suite in their place.
extension Check {
  static let marks = Check("marks", "which bytes a program may touch, as the tools that watch it are told: guarded blocks, pools, arenas") {
    context in
    MarkedMemory.shared.forget()
    let made = OwnHeap.with(OwnHeap.switches(region: 8 << 20), marks: MarkedMemory.marks) { heap in guardedBlocks(heap, context) }
    context.require(made, "no heap")
    slots(context)
    chunks(context)
    context.require(MemoryMarks(to: nil).matter == false && MarkedMemory.marks.matter, "marks for nobody matter")
  }

  private static func guardedBlocks(_ heap: Heap<HardwareMemory>, _ context: CheckContext) {
    let marked = MarkedMemory.shared
    heap.setGuards(canaries: 1, pages: 0)
    for (size, zeroed) in [(1, false), (100, true), (1000, false), (2 << 20, true)] {
      guard let block = heap.allocate(size, zeroed: zeroed) else { return context.find("no memory") }
      let user = UInt(bitPattern: block)
      guard let record = heap.guarded.record(of: UserPointer(block)) else { return context.find("no record") }
      func expect(_ expected: (zones: Bool, block: Bool), _ when: String) {
        let zones = marked.isForbidden(record.zoneBefore, all: expected.zones) && marked.isForbidden(record.zoneBehind, all: expected.zones)
        context.require(zones == expected.zones, "\(size) bytes, \(when): what lies beside them")
        context.require(marked.isForbidden(record.bytes, all: expected.block) == expected.block, "\(size) bytes, \(when)")
        context.count(1)
      }
      expect((true, false), "live")
      context.require(
        marked.takeBlocks() == ["allocated \(hex(user)) \(size) 16 \(zeroed ? 1 : 0)"], "\(size) bytes are not said to be allocated")
      func expectPermits(_ expected: [Range<UInt>], _ when: String) {
        let permits = marked.takePermits()
        context.require(permits == expected, "\(size) bytes, \(when): \(permits) were usable meanwhile, not \(expected)")
      }
      let (before, behind) = (record.zoneBefore, record.zoneBehind)
      expectPermits([], "allocated")
      context.require(isWhole(heap), "damage where none is")
      expectPermits([before, behind], "looked at")
      expect((true, false), "live and looked at")
      heap.free(block)
      let isKept = heap.guarded.record(of: UserPointer(block)) != nil
      context.require(marked.takeBlocks() == ["freed \(hex(user)) 16"], "\(size) bytes are not said to be freed")
      let whole = before.lowerBound..<behind.upperBound
      expectPermits([before, behind, isKept ? record.bytes : whole], "freed")
      if isKept {
        expect((true, true), "in quarantine")
        context.require(isWhole(heap), "damage where none is")
        expectPermits([before, behind, record.bytes], "looked at in quarantine")
        expect((true, true), "in quarantine and looked at")
      }
      heap.trim()
      expectPermits(isKept ? [whole] : [], "given back")
      context.require(marked.isEmpty, "\(size) bytes given back: \(marked.description) are forbidden")
    }
    guard let huge = heap.allocate(PoolAllocator.levelLimits.large + 1) else { return context.find("no memory") }
    _ = marked.takeBlocks()
    context.require(heap.releaseAllHuge() == 1 && marked.takeBlocks() == ["freed \(hex(UInt(bitPattern: huge))) 16"], "a huge block is not said to be freed")
    context.require(marked.isEmpty, "all huge blocks released: \(marked.description) are forbidden")
    _ = marked.takePermits()
    heap.setGuards(canaries: 0, pages: 0)
    heap.trim()
  }

  private static func isWhole(_ heap: Heap<HardwareMemory>) -> Bool {
    heap.guarded.nextDamage(heap.canary, MarkedMemory.marks, found: .exit) == nil
  }

  // MARK: Pools and arenas

  private static func slots(_ context: CheckContext) {
    let marked = MarkedMemory.shared
    guard let layout = SlotPool<HardwareMemory>.Layout(slots: 10, size: 40, alignment: 8) else { return context.find("no layout") }
    let (records, objects) = (ZeroedMemory(bytes: layout.recordBytes), ZeroedMemory(bytes: layout.objectBytes))
    let pool = SlotPool<HardwareMemory>(
      layout, records: records.start, objects: objects.start, freed: FreedBytes(marks: MarkedMemory.marks))
    let all = UInt(bitPattern: objects.start)..<UInt(bitPattern: objects.start + layout.objectBytes)
    func bytes(_ slot: UnsafeMutableRawPointer) -> Range<UInt> { UInt(bitPattern: slot)..<UInt(bitPattern: slot + layout.slotBytes) }
    func expect(_ live: [UnsafeMutableRawPointer], _ when: String) {
      let permitted = all.filter { byte in live.contains { bytes($0).contains(byte) } }
      context.require(marked.permitted(in: all) == permitted, "slots, \(when): other bytes than those of \(live.count) are usable")
      context.count(1)
    }
    context.require(pool.isWatched, "nobody watches")
    expect([], "untouched")
    guard let first = pool.takeWatched({ _ in }), let second = pool.takeWatched({ _ in }) else { return context.find("no slot") }
    expect([first, second], "taken")
    context.require(pool.touch(0) && pool.touch(3), "no slots to touch")
    expect([first, second], "touched")
    first.storeBytes(of: 7, as: UInt8.self)
    context.require(pool.putWatched(first), "a slot is not taken back")
    expect([second], "put back")
    context.require(pool.takeWatched({ _ in }) == first, "another slot than the last")
    context.require(first.load(as: UInt8.self) == 7, "a slot is filled, though a watcher sees to it")
    expect([first, second], "taken again")
    pool.endWatch()
    context.require(marked.isEmpty, "slots given back: \(marked.description) are forbidden")
  }

  private static func chunks(_ context: CheckContext) {
    let marked = MarkedMemory.shared
    let (words, memory, larger) = (ZeroedMemory(bytes: BumpChunks<HardwareMemory>.bytes), ZeroedMemory(bytes: 256), ZeroedMemory(bytes: 512))
    let chunks = BumpChunks<HardwareMemory>(words: words.start, freed: FreedBytes(marks: MarkedMemory.marks))
    func expect(_ chunk: ZeroedMemory, _ bytes: Int, usable: Int, _ when: String) {
      let start = UInt(bitPattern: chunk.start) + 32
      let permitted = marked.permitted(in: start..<start + UInt(bytes - 32))
      context.require(permitted == Array(start..<start + UInt(usable)), "a chunk, \(when): \(permitted.count) bytes are usable, not \(usable)")
      context.count(1)
    }
    func take(_ size: Int) {
      guard let block = chunks.take(size, 16) else { return context.find("no room") }
      context.require(chunks.issue(block, size) == nil, "damage where none is")
    }
    context.require(chunks.replaceNext(memory.start, bytes: 256) == nil, "a chunk too many")
    expect(memory, 256, usable: 0, "untouched")
    chunks.advance()
    take(48)
    expect(memory, 256, usable: 48, "taken from")
    chunks.reset()
    expect(memory, 256, usable: 0, "reset")
    chunks.advance()
    take(16)
    expect(memory, 256, usable: 16, "taken from again")
    take(64)
    expect(memory, 256, usable: 80, "taken from further")
    chunks.reset()
    context.require(chunks.replaceNext(larger.start, bytes: 512) == memory.start, "another chunk is replaced")
    expect(memory, 256, usable: 224, "replaced")
    expect(larger, 512, usable: 0, "in its place")
    chunks.releaseAll { _ in }
    context.require(marked.isEmpty, "chunks given back: \(marked.description) are forbidden")
  }
}

/// The bytes that nobody may touch, and what was said of blocks.
private final class MarkedMemory: Sendable {
  static let shared = MarkedMemory()
  static let marks = MemoryMarks(
    to: .init(
      forbidden: { start, bytes in shared.mark(start, bytes, isForbidden: true) },
      usable: { start, bytes in
        shared.mark(start, bytes, isForbidden: false)
        shared.permits.withLock { $0.append(UInt(bitPattern: start)..<UInt(bitPattern: start) + UInt(bytes)) }
      },
      allocated: { block, bytes, zone, zeroed in
        shared.mark(block, bytes, isForbidden: false)
        shared.say("allocated \(hex(UInt(bitPattern: block))) \(bytes) \(zone) \(zeroed)")
      },
      freed: { block, zone in shared.say("freed \(hex(UInt(bitPattern: block))) \(zone)") }))

  private let forbidden = Guarded<[Range<UInt>]>([])
  private let blocks = Guarded<[String]>([])
  private let permits = Guarded<[Range<UInt>]>([])

  private func mark(_ start: UnsafeRawPointer?, _ bytes: Int, isForbidden: Bool) {
    let marked = UInt(bitPattern: start)..<UInt(bitPattern: start) + UInt(bytes)
    forbidden.withLock { ranges in
      ranges = ranges.flatMap { [$0.lowerBound..<min($0.upperBound, max($0.lowerBound, marked.lowerBound)),
        max($0.lowerBound, min($0.upperBound, marked.upperBound))..<$0.upperBound] }
      if isForbidden { ranges.append(marked) }
      ranges.removeAll(where: \.isEmpty)
    }
  }

  private func say(_ words: String) { blocks.withLock { $0.append(words) } }

  func forget() {
    forbidden.withLock { $0 = [] }
    _ = takeBlocks()
    _ = takePermits()
  }

  /// What was said of blocks since the last call.
  func takeBlocks() -> [String] { Self.take(blocks) }

  /// What became usable since the last call, but for blocks as a whole.
  func takePermits() -> [Range<UInt>] { Self.take(permits) }

  private static func take<Element>(_ said: Guarded<[Element]>) -> [Element] {
    said.withLock { said in
      defer { said = [] }
      return said
    }
  }

  /// Whether all of the bytes are forbidden, or any.
  func isForbidden(_ bytes: Range<UInt>, all: Bool) -> Bool {
    let count = forbidden.withLock { $0.reduce(0) { $0 + $1.clamped(to: bytes).count } }
    return all ? count == bytes.count : count > 0
  }

  /// The bytes that are not forbidden.
  func permitted(in bytes: Range<UInt>) -> [UInt] {
    forbidden.withLock { ranges in bytes.filter { byte in !ranges.contains { $0.contains(byte) } } }
  }

  var isEmpty: Bool { forbidden.withLock { $0.isEmpty } }
  var description: String { forbidden.withLock { $0.map { "\($0.count) bytes at \(hex($0.lowerBound))" }.joined(separator: ", ") } }
}
