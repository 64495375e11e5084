import Ashlar

/// Where things lie in memory: a byte too many is no fault that a program would meet, and is found here.
extension Check {
  static let layouts = Check(
    "layouts", "the memory of parts: as much as they use, in whole lines, each word in its place and beside the next"
  ) { context in
    for (bytes, rounded) in [(0, 0), (1, 64), (63, 64), (64, 64), (65, 128), (200, 256)] {
      context.require(CacheLine.rounded(bytes) == rounded, "\(bytes) bytes are \(CacheLine.rounded(bytes)) in whole lines")
    }
    sizes(context)
    for (units, capacity) in [(4, 4), (64, 256), (262_144, 256)] { buddyTables(units, capacity, context) }
    descriptors(context)
    table(context)
    stack(context)
    guardPolicy(context)
    counters(context)
    for (size, bytes) in [(0, 16), (1, 16), (16, 16), (17, 32), (32, 32), (33, 48)] {
      let slot = SlotPool<HardwareMemory>.Layout(slots: 1, size: size, alignment: 8)?.slotBytes
      context.require(slot == bytes, "objects of \(size) bytes have slots of \(slot ?? 0)")
    }
    // 2^60 slots of 32 bytes are 0 bytes where nobody looks at the carry.
    for (slots, size) in [(-1, 16), (1 << 60, 32), (Int.max, 16), (1, .max), ((4 << 30) + 1, 16)] {
      context.require(SlotPool<HardwareMemory>.Layout(slots: slots, size: size, alignment: 8) == nil, "\(slots) slots of \(size) bytes have a layout")
    }
    batches(context)
  }

  // What lies before its words is another part's.
  private static func guardPolicy(_ context: CheckContext) {
    let memory = ZeroedMemory(bytes: 128)
    let policy = GuardPolicy<HardwareMemory>(state: memory.start + 64)
    (policy.canaryInterval, policy.pageInterval) = (7, 9)
    policy.countPage()
    _ = policy.admitPage()
    let isUntouched = (0..<64).allSatisfy { memory.start.load(fromByteOffset: $0, as: UInt8.self) == 0 }
    context.require(isUntouched && policy.canaryInterval == 7 && policy.pageInterval == 9, "the guard policy writes before its words")
  }

  private static func sizes(_ context: CheckContext) {
    typealias Memory = HardwareMemory
    let inLines: [(String, Int, Int)] = [
      ("metadata", MetadataMemory<Memory>.bytes, 1), ("pool", SlabPool<Memory>.stateBytes, 2),
      ("slab classes", SlabClasses<Memory>.bytes, 2 * SizeClass.count), ("depots", Depots<Memory>.bytes, SizeClass.count + 1),
      ("registry", CacheRegistry<Memory>.bytes, 1), ("tracker", Tracker<Memory>.bytes, 2), ("guard policy", GuardPolicy<Memory>.bytes, 1),
      ("guard pages", GuardPages<Memory>.bytes, 1), ("an arena", BumpChunks<Memory>.bytes, 1), ("a pair", SharedPair.bytes, 1),
      ("magazine", Magazine<Memory>.bytes, 1 + 16),
    ]
    for (name, bytes, lines) in inLines { context.require(bytes == 64 * lines, "\(name): \(bytes) bytes, not \(lines) lines") }
    let inWords: [(String, Int, Int)] = [
      ("table", AddressTable<Memory, Int>.bytes, 3), ("retention", Retention<Memory>.bytes, 1), ("timer", SweepTimer<Memory>.bytes, 1), ("mappings", DirectMappings<Memory>.bytes, 11 + 128),
      ("guarded blocks", GuardedBlocks<Memory>.bytes, 8 + 128), ("counters", HeapCounters<Memory>.bytes, 2 * 10 + SizeClass.count),
      ("a bin", BinLayout.stride, 8), ("merge queue", MergeQueue<Memory>.bytes(capacity: 8), 16 + 2 * 8),
    ]
    for (name, bytes, words) in inWords { context.require(bytes == 8 * words, "\(name): \(bytes) bytes, not \(words) words") }
    context.count(inLines.count + inWords.count)
  }

  // What travels at once was measured, and is not to change by the way.
  private static func batches(_ context: CheckContext) {
    for (size, batch, stretch) in [
      (16, 128, 64), (1024, 128, 64), (4096, 128, 64), (5120, 128, 51), (8192, 128, 32), (16 << 10, 64, 16), (48 << 10, 21, 5), (64 << 10, 16, 4), (80 << 10, 1, 1),
      (128 << 10, 1, 1), (512 << 10, 1, 1), (1 << 20, 1, 1),
    ] {
      let sizeClass = SizeClass(holding: size)
      context.require(sizeClass.batch == batch, "\(sizeClass.batch) blocks of \(size) travel at once, not \(batch)")
      context.require(sizeClass.stretch == stretch, "\(sizeClass.stretch) blocks of \(size) are taken from the slabs at once, not \(stretch)")
      context.count(1)
    }
  }

  // Each count in a word of its own, none behind the last.
  private static func counters(_ context: CheckContext) {
    let memory = ZeroedMemory(bytes: HeapCounters<HardwareMemory>.bytes)
    let counters = HeapCounters<HardwareMemory>(state: memory.start)
    let classes = Array(SizeClass.all)
    for order in 0..<BuddyTables.orders { (0...order).forEach { _ in counters.countMedium(order) } }
    for sizeClass in classes { (0...sizeClass.index).forEach { _ in counters.countUncached(sizeClass) } }
    for order in 0..<BuddyTables.orders { context.require(counters.medium(order) == (order + 1, order + 1), "order \(order): \(counters.medium(order))") }
    for sizeClass in classes {
      let counted = counters.uncachedAllocations(sizeClass)
      context.require(counted == sizeClass.index + 1, "class \(sizeClass.index): \(counted) are counted")
    }
    context.count(BuddyTables.orders + SizeClass.count)
  }

  private static func buddyTables(_ units: Int, _ capacity: Int, _ context: CheckContext) {
    let start = UnsafeMutableRawPointer(bitPattern: 1 << 40)!
    let tables = BuddyTables(memory: start, units: units, queueCapacity: capacity)
    let top = BuddyTables.orders - 1
    var places = [
      tables.word(0).address, tables.link(0).address, tables.head(order: 0).address, tables.nonEmpty.address, tables.workerActive.address,
      tables.hot(order: 0).address, tables.queue,
    ].map { $0 - start }
    places.append(BuddyTables.bytes(units: units, queueCapacity: capacity))
    let blocks = 2 * units * 8
    let lengths = [blocks, blocks, 10 * 64, 64, 64, 10 * 64, 128 + 16 * capacity]
    let expected = lengths.reduce(into: [0]) { $0.append($0.last! + $1) }
    context.require(places == expected, "the tables of \(units) units begin at \(places), not \(expected)")
    context.require(tables.head(order: top).address + 64 == tables.nonEmpty.address, "list heads are not side by side")
    context.require(tables.hot(order: top).address + 64 == tables.queue, "hot slots are not side by side")
    let words = [tables.nonEmpty, tables.frontier, tables.dirtyUnits, tables.transits].map { $0.address - tables.nonEmpty.address }
    context.require(words == [0, 8, 16, 24], "the control words lie at \(words)")
    context.count(1)
  }

  // A page's record: the words of a slab's first page, the tag and offset of each.
  private static func descriptors(_ context: CheckContext) {
    let layers = OwnLayers(mebibytes: 4)
    let sizeClass = SizeClass(holding: 64 << 10)
    guard let slab = layers.pool.take(order: sizeClass.slabOrder) else { return context.find("no pages") }
    context.require(slab.blockCount == 0, "pages in no slab have blocks")
    slab.open(for: sizeClass)
    func record(_ page: Int) -> [UInt8] {
      let start = layers.region.descriptors + (slab.page + page) * 64
      return (0..<64).map { start.load(fromByteOffset: $0, as: UInt8.self) }
    }
    let tag = Tag.free(sizeClass).value
    for page in 0..<(1 << sizeClass.slabOrder) {
      var expected = [UInt8](repeating: 0, count: 64)
      expected[0] = page == 0 ? UInt8(sizeClass.slabBlocks) : 0
      (expected[16], expected[17]) = (tag, UInt8(page))
      if page == 0 { for offset in 24..<28 { expected[offset] = 255 } }
      context.require(record(page) == expected, "the record of page \(page) of a slab is \(record(page))")
    }
    slab.close()
    layers.pool.giveBack(slab, order: sizeClass.slabOrder)
    for page in 1..<(1 << sizeClass.slabOrder) {
      context.require(record(page).allSatisfy { $0 == 0 }, "the record of page \(page) is \(record(page)) after its slab")
    }
    context.count(1)
  }

  // A key lies at the place that its hash is, where nothing else does.
  private static func table(_ context: CheckContext) {
    let state = ZeroedMemory(bytes: 64)
    let table = AddressTable<HardwareMemory, Int>(state: PlainPointer(state.start))
    for key in (1...20).map({ UInt($0) * 0x1230 }) {
      guard table.makeRoom(), let entries = UnsafeRawPointer(bitPattern: state.start.load(as: UInt.self)) else {
        return context.find("memory is out")
      }
      table.insert(key, 7)
      let place = ((key >> 4) &* 0x9E37_79B9_7F4A_7C15) >> 32 & 255
      context.require(entries.load(fromByteOffset: Int(place) * 16, as: UInt.self) == key, "\(hex(key)) is not where its hash says")
      table.remove(key)
      context.count(1)
    }
    table.removeAll()
  }

  private struct Links: StackLinks {
    let words: UnsafeMutableRawPointer
    func link(of node: UInt) -> SharedWord { SharedWord(words + Int(node) * 8) }
  }

  // The head: a node, and 40 bits of tag above 24 of depth.
  private static func stack(_ context: CheckContext) {
    let memory = ZeroedMemory(bytes: 128)
    let stack = TaggedStack<HardwareMemory, Links>(head: SharedPair(memory.start), links: Links(words: memory.start + 16))
    memory.start.storeBytes(of: ~0 << 24, toByteOffset: 8, as: UInt.self)
    for (node, tagAndDepth): (UInt, UInt) in [(3, 1), (4, 1 << 24 | 2)] {
      stack.push(node)
      let head = (memory.start.load(as: UInt.self), memory.start.load(fromByteOffset: 8, as: UInt.self))
      context.require(head == (node, tagAndDepth), "the head of a stack is \(head)")
    }
    context.count(1)
  }
}
