import Ashlar
import Glibc

/// Layers alone, against what they promise.
extension Check {
  static let caches = Check(
    "caches", "a thread's cache: bins apart, routes that lead to them, turns of the blocks to be sampled, its random words"
  ) { context in
    let made = OwnHeap.with(OwnHeap.switches(region: 8 << 20)) { heap in
      guard let cache = heap.registry.adopt(capacity: { 2 * $0.batch }), let other = heap.registry.adopt(capacity: { _ in 1 }) else {
        return context.find("no cache")
      }
      context.require(cache.address != other.address, "one cache for two")
      untouched(other, context)
      bins(of: cache, context)
      for open in [true, false, true] { routes(of: cache, open: open, context) }
      randomWords(of: cache, other, context)
      turns(of: cache, context)
      if let magazine = heap.depots.takeEmpty(), let another = heap.depots.takeEmpty() {
        magazine.hold(2) { TagAddress(UInt(100 + $0)) }
        let held = [99, 100, 101, 102].map { magazine.holds(TagAddress($0)) }
        context.require(held == [false, true, true, false], "a magazine that holds other blocks")
        cache.discard(magazine, to: heap.depots)
        context.require(cache.takeEmpty(from: heap.depots)?.address == magazine.address, "the magazine that was left in a cache is not used")
        cache.discard(magazine, to: heap.depots)
        guard let third = heap.depots.takeEmpty() else { return context.find("no magazine") }
        context.require(third.address != magazine.address, "a magazine that was put away in a cache is everybody's")
        heap.depots.discard(third)
        cache.discard(another, to: heap.depots)
        context.require(heap.depots.takeEmpty()?.address == another.address, "the second magazine that is put away in a cache is lost")
        cache.discardSpare(to: heap.depots)
        context.require(heap.depots.takeEmpty()?.address == magazine.address, "the magazine in a cache that is emptied is lost")
        for magazine in [magazine, another] { heap.depots.discard(magazine) }
      }
      heap.registry.abandon(cache)
      context.require(heap.registry.adopt(capacity: { _ in 1 })?.address == cache.address, "an abandoned cache is not used again")
      context.require(cache.bin(SizeClass(index: 0)).capacity == 256, "a cache that is used again is laid out again")
      context.require(HardwareMemory.load(cache.owned) == 1, "a cache that is used again is not its thread's")
    }
    context.require(made, "no heap")
  }

  // The slots of a bin take no memory before its first block, and look empty and full meanwhile.
  private static func untouched(_ cache: ThreadCache<HardwareMemory>, _ context: CheckContext) {
    let touched = ResidentPages(cache.address, ThreadCache<HardwareMemory>.bytes).present
    // Beside the bins a few bytes behind all slots.
    let most = ResidentPages(cache.address, BinLayout.slotsOffset).present + 2
    context.require((1...most).contains(touched), "of a cache that nobody has used \(touched) pages are touched, at most \(most) are needed")
    cache.setOpen(true)
    for index in 0..<SizeClass.count {
      let bin = cache.bin(SizeClass(index: index))
      context.require(bin.count == 0 && bin.room == nil && bin.popUnsampled() == nil, "class \(index) has blocks, or room, before its first block")
      // The first block comes by either way.
      if index % 2 == 0 {
        bin.append(TagAddress(1))
        context.require(bin.isFull && bin.popUnsampled() == TagAddress(1), "the first block of class \(index) is lost")
      }
      emptiness(of: bin, context)
    }
    context.count(1)
  }

  private static func bins(of cache: ThreadCache<HardwareMemory>, _ context: CheckContext) {
    let classes = Array(SizeClass.all)
    func block(_ sizeClass: SizeClass, _ number: UInt) -> TagAddress { TagAddress(UInt(sizeClass.index << 32) + number) }
    for sizeClass in classes {
      let bin = cache.bin(sizeClass)
      context.require(UInt(bitPattern: bin.address) % 8 == 0, "a bin that is not aligned")
      context.require(bin.capacity == UInt(2 * sizeClass.batch) && bin.count == 0, "a bin of another capacity, or with blocks in it")
      for slot in 0..<bin.capacity { bin[slot] = block(sizeClass, slot + 1) }
      bin.count = bin.capacity
    }
    let end = cache.address + ThreadCache<HardwareMemory>.bytes
    for sizeClass in classes {
      let bin = cache.bin(sizeClass)
      let isWhole = (0..<bin.capacity).allSatisfy { bin[$0] == block(sizeClass, $0 + 1) }
      context.require(isWhole && bin.capacity == UInt(2 * sizeClass.batch), "bins overlap")
      context.require(bin.address + BinLayout.stride <= end && bin.slot(bin.capacity).address <= end - 8 * SizeClass.count, "a bin lies beyond its cache")
      context.require(UInt16(exactly: bin.address - cache.address) != nil, "a bin that no route leads to")
      let last = bin.count
      context.require(bin.holds(block(sizeClass, last)) && !bin.holds(TagAddress(.max)), "a bin that holds other blocks")
      context.require(
        bin.popUnsampled() == block(sizeClass, last) && bin.pop() == block(sizeClass, last - 1), "a bin that is no stack")
      bin.count += 2
      bin.dropFirst(Int(bin.count) / 2)
      let left = bin.capacity - bin.capacity / 2
      context.require(bin.count == left && (0..<left).allSatisfy { bin[$0] == block(sizeClass, last - left + 1 + $0) }, "others are dropped than the first")
      bin.count = 0
      emptiness(of: bin, context)
      context.require(bin.popUnsampled() == nil && bin.allocations == 2, "an empty bin has blocks")
      context.count(1)
    }
  }

  // What an empty bin offers lies in none of its slots, says live, and is put right as it was.
  private static func emptiness(of bin: Bin<HardwareMemory>, _ context: CheckContext) {
    guard let bottom = bin.pop() else { return context.find("an empty bin offers nothing") }
    context.require(bin.count == 0 && HardwareMemory.load(bottom.byte) == Tag.liveBit, "what an empty bin offers can be taken")
    _ = HardwareMemory.addReportingCarry(Tag.liveBit, to: bottom.byte)
    Bin<HardwareMemory>.restore(bottom: bottom)
    context.require(bin.count == 0 && bin.pop() == bottom && HardwareMemory.load(bottom.byte) == Tag.liveBit, "an empty bin is not put right")
    Bin<HardwareMemory>.restore(bottom: bottom)
  }

  private static func routes(of cache: ThreadCache<HardwareMemory>, open: Bool, _ context: CheckContext) {
    cache.setOpen(open)
    for size: UInt in 0...1024 {
      let own = cache.bin(SizeClass(holding: Int(size))).address
      context.require(cache.serves(size) == open && cache.bin(routing: size).address == own, "\(size) bytes lead elsewhere, open: \(open)")
    }
    context.require(!cache.serves(1025) && !cache.serves(.max), "sizes without a route are served")
    context.require(cache.bin(at: 0).room == nil, "the null bin has room")
    for sizeClass in SizeClass.all {
      let bin = cache.bin(sizeClass)
      context.require(bin.isOpen == open && (bin.room != nil) == open && !bin.isFull, "class \(sizeClass.index) has room, open: \(open)")
    }
    context.count(2)
  }

  // xorshift64*, written down once more.
  private static func randomWords(of cache: ThreadCache<HardwareMemory>, _ other: ThreadCache<HardwareMemory>, _ context: CheckContext) {
    let words = [cache.nextRandom(), cache.nextRandom(), other.nextRandom(), other.nextRandom()]
    context.require(Set(words).count == 4 && !words.contains(0), "random words that are alike")
    var state = HardwareMemory.load(SharedWord(cache.address + 56))
    for _ in 0..<100 {
      state ^= state >> 12
      state ^= state << 25
      state ^= state >> 27
      context.require(cache.nextRandom() == state &* 2_685_821_657_736_338_717, "another sequence than xorshift64*")
    }
  }

  private static func turns(of cache: ThreadCache<HardwareMemory>, _ context: CheckContext) {
    let bin = cache.bin(SizeClass(holding: 64))
    let made = bin.allocations
    for isHot in [true, false] {
      for turn: UInt in [1, 2, 5] {
        let before = bin.allocations
        bin.count = 10
        bin.arm(turn: turn)
        for _ in 1..<turn { context.require(!bin.isDue && (isHot ? bin.pop() : bin.popUnsampled()) != nil, "a turn that comes too soon") }
        if isHot { context.require(bin.pop() == nil, "a turn that is passed over") }
        context.require(bin.isDue, "a turn that is late")
        if !isHot {
          for _ in 0..<3 { context.require(bin.popUnsampled() != nil && bin.isDue, "a turn that is lost") }
        }
        bin.arm(turn: Bin<HardwareMemory>.longestTurn)
        let counted = bin.allocations - before
        context.require(counted == turn - 1 + (isHot ? 0 : 3), "turn \(turn): \(counted) allocations are counted")
        context.require(!bin.isDue, "a turn where none is wanted")
      }
    }
    context.require(bin.allocations == made + 5 + 5 + 9, "allocations are lost")
    // Classes that are used alike have their turns apart.
    cache.arm(interval: 0)
    let usual = Set(SizeClass.all.map { sizeClass in
      let bin = cache.bin(sizeClass)
      var turn = 1
      while !bin.isDue, turn < 2000 {
        bin.count = 1
        _ = bin.popUnsampled()
        turn += 1
      }
      return turn
    })
    context.require(usual.count == 64 && usual.min() == 520 && usual.max() == 1024, "where nothing is sampled the turns are \(usual.sorted())")
    var (sum, least, most) = (0, Int.max, 0)
    for round in 0..<40 {
      cache.arm(interval: 10)
      context.require(cache.armedInterval == 10, "the interval is forgotten")
      for sizeClass in SizeClass.all {
        let bin = cache.bin(sizeClass)
        var turn = 1
        bin.count = bin.capacity
        while bin.popUnsampled() != nil, !bin.isDue, turn < 99 {
          turn += 1
          bin.count = 1
        }
        if round > 0 || turn > 1 { (sum, least, most) = (sum + turn, min(least, turn), max(most, turn)) }
      }
    }
    let mean = Double(sum) / Double(40 * SizeClass.count)
    // One pop is made before the first look, so turns of 1 and 2 look alike.
    context.require(least == 1 && most == 18 && (8.5...10.0).contains(mean), "turns of \(least) to \(most), \(mean) on average")
    cache.arm(interval: 0)
    context.require(!cache.bin(SizeClass(index: 3)).isDue, "a turn where none is wanted")
  }

  static let mappings = Check(
    "mappings", "large blocks: calls to the system, counts of each level, addresses known to have been given back"
  ) { context in
    let made = OwnHeap.with(OwnHeap.switches(region: 4 << 20)) { heap in
      let direct = heap.direct
      func calls(_ body: () -> Void) -> Int {
        let before = PoolAllocator.systemCallCount
        body()
        return PoolAllocator.systemCallCount - before
      }
      _ = direct.allocate(size: 1, alignment: 1)
      // The first that is given back, and what is mapped in its place.
      let first = direct.allocate(size: 4096, alignment: 1)?.base
      if let first { _ = direct.release(first) }
      if let next = direct.allocate(size: 4096, alignment: 1)?.base {
        context.require(!direct.wasReleased(next), "a live block is said to have been given back")
        _ = direct.release(next)
      }
      for (size, alignment, most) in [(0, 1, 1), (0, 1 << 17, 3), (5000, 16, 1), (1 << 20, 4096, 1), (5000, 8192, 3), (1 << 20, 1 << 22, 3)] {
        var base: BlockBase?
        let taken = calls { base = direct.allocate(size: size, alignment: alignment)?.base }
        guard let base, let block = direct.block(at: base) else { return context.find("no block") }
        context.require(taken <= most && base.address % UInt(alignment) == 0, "\(size) bytes aligned to \(alignment): \(taken) calls")
        context.require(block.mapped == (max(size, 1) + 4095) & ~4095 && block.size == size && !block.isGuarded, "\(block) for \(size) bytes")
        context.require(direct.block(around: base.address + UInt(max(size, 1)) - 1)?.size == size, "the last byte is not known")
        context.require(direct.block(around: base.address + UInt(block.mapped))?.size != size, "a byte behind is taken for the block's")
        direct.setGuarded(base)
        context.require(direct.block(at: base)?.isGuarded == true && !direct.wasReleased(base), "the block is not guarded, or given back")
        context.require(calls { _ = direct.release(base) } == 1 && direct.wasReleased(base), "given back, and not known to be")
        context.require(!direct.release(base) && direct.block(at: base) == nil, "given back twice")
        context.count(1)
      }
      given(direct, context)
      levels(direct, context)
    }
    context.require(made, "no heap")
    for asked in [true, false] {
      let made = OwnHeap.with(OwnHeap.switches(region: 4 << 20) { $0.hugePages = asked }) { heap in
        _ = heap.direct.allocate(size: 1, alignment: 1)
        for (size, calls) in [(1 << 30, 1), ((1 << 30) + 1, asked ? 2 : 1)] {
          let before = PoolAllocator.systemCallCount
          guard let block = heap.direct.allocate(size: size, alignment: 1) else { return context.find("no block") }
          let made = PoolAllocator.systemCallCount - before
          context.require(made == calls, "\(size) bytes, huge pages \(asked ? "" : "not ")to be asked for: \(made) calls")
          _ = heap.direct.release(block.base)
          context.count(1)
        }
      }
      context.require(made, "no heap")
    }
  }

  // An address that is in use again was not given back; those before it still were.
  private static func given(_ direct: DirectMappings<HardwareMemory>, _ context: CheckContext) {
    let bases = (0..<20).compactMap { _ in direct.allocate(size: 1 << 20, alignment: 1)?.base }
    for base in bases { _ = direct.release(base) }
    context.require(bases.allSatisfy(direct.wasReleased), "addresses given back are forgotten")
    let again = (0..<10).compactMap { _ in direct.allocate(size: 1 << 20, alignment: 1)?.base }
    for base in again { context.require(!direct.wasReleased(base), "an address that is in use counts as given back") }
    let others = bases.filter { base in !again.contains { $0.address == base.address } }
    context.require(others.allSatisfy(direct.wasReleased), "addresses are forgotten before their time")
    for base in again { _ = direct.release(base, known: base.address + 64) }
    context.require(again.allSatisfy { direct.wasReleased(BlockBase(address: $0.address + 64)) }, "a user's address is not known")
    context.count(1)
  }

  private static func levels(_ direct: DirectMappings<HardwareMemory>, _ context: CheckContext) {
    func figures() -> [Int] {
      [direct.counts(huge: false), direct.counts(huge: true)].flatMap { [$0.allocations, $0.liveBlocks, $0.liveBytes] }
    }
    let before = figures()
    func expect(_ changes: [Int], _ what: String) {
      let now = zip(figures(), before).map { $0 - $1 }
      context.require(now == changes, "\(what): \(now)")
      context.count(1)
    }
    let (large, huge) = (600 << 20, 1100 << 20)
    guard let first = direct.allocate(size: large, alignment: 1)?.base, let second = direct.allocate(size: huge, alignment: 1)?.base else {
      return context.find("no block")
    }
    expect([1, 1, large, 1, 1, huge], "one of each")
    guard let grown = direct.resize(first, to: huge + 5, alignment: 1) else { return context.find("a resize is refused") }
    expect([0, 0, 0, 2, 2, 2 * huge + 4096], "grown to huge")
    context.require(direct.resize(grown, to: huge + 6, alignment: 1) == grown && direct.block(at: grown)?.size == huge + 6, "a resize within a page")
    guard let shrunk = direct.resize(second, to: large, alignment: 1) else { return context.find("a resize is refused") }
    expect([1, 1, large, 1, 1, huge + 4096], "shrunk to large")
    guard let aligned = direct.resize(shrunk, to: large, alignment: 1 << 21), let smaller = direct.resize(aligned, to: large - 4096, alignment: 1),
      let back = direct.resize(smaller, to: large, alignment: 1)
    else { return context.find("a resize is refused") }
    context.require([aligned, smaller, back].allSatisfy { $0.address % (1 << 21) == 0 } && smaller == aligned, "a moved mapping is not aligned")
    for size in [Int.max - 65_536, Int.max - Alignment.largest, 1 << 50] {
      for alignment in [1, 1 << 17, Alignment.largest] {
        context.require(direct.allocate(size: size, alignment: alignment) == nil, "\(size) bytes aligned to \(alignment) are granted")
      }
      context.require(direct.resize(back, to: size, alignment: 1) == nil, "a mapping is resized to \(size) bytes")
    }
    var told: [UInt] = []
    context.require(direct.releaseAllHuge { told.append($0.address) } == 1 && told == [grown.address], "another huge block is released")
    expect([1, 1, large, 1, 0, 0], "no huge block")
    context.require(direct.release(back), "a resized block is lost")
    expect([1, 0, 0, 1, 0, 0], "nothing")
  }

  static let guardChoice = Check("guard-choice", "which blocks are guarded, in which form, and what is counted of them") { context in
    let made = OwnHeap.with(OwnHeap.switches(region: 8 << 20)) { heap in
      let policy = heap.policy
      let calls = PoolAllocator.systemCallCount
      heap.setGuards(canaries: 3, pages: 0)
      context.require(PoolAllocator.systemCallCount == calls, "address space is taken for pages that nobody wants")
      for (canaries, pages, interval) in [(0, 0, 0), (5, 0, 5), (0, 7, 7), (1, 9, 1), (9, 1, 1), (4, 4, 2), (6, 3, 2), (100, 300, 75)] as [(UInt, UInt, UInt)] {
        (policy.canaryInterval, policy.pageInterval) = (canaries, pages)
        context.require(policy.interval == interval, "one in \(canaries) and one in \(pages) is one in \(policy.interval)")
        let forms = (0..<(canaries + pages)).map { policy.form($0) }
        // The rarer form is the one with the larger interval.
        let wanted: UInt = pages == 0 ? 0 : canaries == 0 ? pages : canaries
        context.require(forms.filter { $0 == .page }.count == Int(wanted), "\(canaries) and \(pages): forms \(forms)")
        context.require(forms.filter { $0 == .canary }.count == Int(canaries + pages - wanted), "\(canaries) and \(pages): forms \(forms)")
        context.count(1)
      }
      (policy.canaryInterval, policy.pageInterval) = (0, 2)
      context.require(!(0..<50).allSatisfy { _ in policy.admitPage() }, "a page for every block that comes")
      (policy.canaryInterval, policy.pageInterval) = (0, 0)
      context.require(policy.form(5) == nil && policy.admitPage(), "a form where none is wanted, or a page refused")
      pages(heap, context)
      canaries(heap, context)
    }
    context.require(made, "no heap")
  }

  private static func pages(_ heap: Heap<HardwareMemory>, _ context: CheckContext) {
    heap.setGuards(canaries: 0, pages: 1)
    let sizes = [1, 16, 100, 4000, 4096]
    let blocks = sizes.compactMap { heap.allocate($0) }
    context.require(blocks.allSatisfy { heap.pages.contains(UInt(bitPattern: $0)) }, "blocks that lie before no page")
    let small = heap.statistics().small
    context.require(small.allocations == 5 && small.liveBlocks == 5 && small.liveBytes == sizes.reduce(0, +), "counted: \(small)")
    for (block, size) in zip(blocks, sizes) {
      context.require(heap.usableSize(UserPointer(block)) == size, "\(size) bytes before a page are \(heap.usableSize(UserPointer(block)))")
      context.require((UInt(bitPattern: block) + UInt(size) + 15) & ~15 % UInt(System.pageBytes) == 0, "\(size) bytes do not end a page")
    }
    if let large = heap.allocate(4097) {
      context.require(!heap.pages.contains(UInt(bitPattern: large)), "more than a page in a page")
      heap.free(large)
    }
    blocks.forEach(heap.free)
    for block in blocks {
      let faults = FaultRecorder.record { heap.free(block) }
      context.require(faults.map(\.kind) == ["double free"], "freed twice before a page: \(faults)")
    }
    context.require(heap.statistics().small.liveBlocks == 0 && heap.pages.live.bytes == 0, "blocks are left before pages")
    guard let user = heap.pages.allocate(size: 10, alignment: 1, canary: heap.canary, site: .unknown) else { return context.find("no page") }
    context.require(heap.pages.record(of: user)?.size == 10, "a block before a page is not known")
    context.require(heap.pages.record(of: UserPointer(user.raw! - 16)) == nil, "a block begins where none does")
    if case .taken(let record) = heap.pages.release(user, by: .unknown), case .alreadyFree = heap.pages.release(user, by: .unknown) {
      heap.pages.retire(record)
    } else {
      context.find("a block before a page is freed twice, or not at all")
    }
    heap.setGuards(canaries: 0, pages: 0)
    context.count(6)
  }

  // Every byte that may not be written, on both sides and in a freed block.
  private static func canaries(_ heap: Heap<HardwareMemory>, _ context: CheckContext) {
    heap.setGuards(canaries: 1, pages: 0)
    for (size, behind) in [(1, 31), (100, 28), (1000, 128)] {
      guard let block = heap.allocate(size) else { return context.find("no memory") }
      for offset in [-16, -1, size, size + 1, size + behind / 2, size + behind - 1] {
        let byte = (block + offset).assumingMemoryBound(to: UInt8.self)
        let kept = byte.pointee
        for bit: UInt8 in 0..<8 {
          byte.pointee = kept ^ (1 << bit)
          let change = heap.canary.firstChange(in: UInt(bitPattern: block) - 16..<UInt(bitPattern: block))
            ?? heap.canary.firstChange(in: UInt(bitPattern: block) + UInt(size)..<(UInt(bitPattern: block) + UInt(size + behind)))
          context.require(change == UInt(bitPattern: byte), "a changed bit at \(offset) of \(size) is not seen")
        }
        byte.pointee = kept
      }
      let statistics = heap.statistics()
      heap.free(block)
      context.require(
        statistics.small.liveBlocks == 1 && heap.statistics().small.liveBlocks == 0, "a block in quarantine is live, or one that is live is not")
      let freed = UInt(bitPattern: block)..<(UInt(bitPattern: block) + UInt(size))
      for offset in [0, size / 2, size - 1] {
        let byte = (block + offset).assumingMemoryBound(to: UInt8.self)
        context.require(byte.pointee == 0xDB && Canary.firstChange(inFreed: freed) == nil, "a freed byte is not filled")
        byte.pointee ^= 1
        context.require(Canary.firstChange(inFreed: freed) == UInt(bitPattern: byte), "a write after free at \(offset) is not seen")
        byte.pointee ^= 1
      }
      context.count(1)
    }
    zones(heap, context)
    once(heap, context)
    // A mapping is given back at once, however small.
    if let mapping = heap.allocate(Request(size: 100, alignment: 1 << 17), site: .unknown) {
      heap.free(mapping)
      context.require(heap.direct.counts(huge: false).liveBlocks == 0, "a mapping in quarantine")
    }
    heap.setGuards(canaries: 0, pages: 0)
    heap.trim()
    context.require(heap.statistics().total.liveBlocks == 0 && heap.checkInvariants(), "guarded blocks are left")
  }
}

extension Check {
  // Damage is said once, whoever finds it, and what was freed is a block no more.
  private static func once(_ heap: Heap<HardwareMemory>, _ context: CheckContext) {
    for (isFreed, kind) in [(false, "overflow"), (true, "write after free")] {
      guard let block = heap.allocate(100) else { return context.find("no memory") }
      if isFreed { heap.free(block) }
      // Whatever the secret made of the canary, it is another byte.
      (block + (isFreed ? 50 : 100)).assumingMemoryBound(to: UInt8.self).pointee ^= 7
      let faults = FaultRecorder.record {
        for _ in 0..<2 { _ = heap.checkInvariants() }
        if !isFreed { heap.free(block) }
        heap.trim()
      }
      context.require(faults.map(\.kind) == [kind], "\(kind): said as \(faults.map(\.kind))")
      context.count(1)
    }
    for pages in [0, 1] {
      heap.setGuards(canaries: 1 - pages, pages: pages)
      guard let block = heap.allocate(100) else { return context.find("no memory") }
      heap.free(block)
      var size = -1
      var faults = FaultRecorder.record { size = heap.usableSize(UserPointer(block)) }
      context.require(size == 0 && faults.map(\.kind) == ["double free"], "a freed block has \(size) usable bytes: \(faults.map(\.kind))")
      faults = FaultRecorder.record {
        guard case .invalid = heap.reallocate(UserPointer(block), Request(size: 200), site: .unknown) else {
          return context.find("a freed block is resized")
        }
      }
      context.require(faults.map(\.kind) == ["double free"], "a freed block is resized: \(faults.map(\.kind))")
      context.count(2)
    }
    heap.setGuards(canaries: 1, pages: 0)
  }

  // As far as the block goes, and no further than 128 bytes; where the last bytes of a page end nothing is read behind them.
  private static func zones(_ heap: Heap<HardwareMemory>, _ context: CheckContext) {
    for (size, alignment, before, behind) in [(1, 1, 16, 31), (1000, 16, 16, 128), (100, 64, 64, 28), (5000, 4096, 128, 128)] {
      guard let block = heap.allocate(Request(size: size, alignment: alignment), site: .unknown),
        let record = heap.guarded.record(of: block)
      else { return context.find("no memory") }
      let sealed = (record.zoneBefore.count, record.zoneBehind.count)
      context.require(sealed == (before, behind), "\(sealed) bytes beside \(size) aligned to \(alignment) are sealed")
      heap.free(block)
    }
    let page = System.pageBytes
    guard let memory = System.map(2 * page), System.forbid(memory + page, page) else { return context.find("no page") }
    for size in [3, 8, 20] {
      let freed = UInt(bitPattern: memory + page - size)..<UInt(bitPattern: memory + page)
      Canary.fillFreed(freed)
      context.require(Canary.firstChange(inFreed: freed) == nil, "\(size) filled bytes have changed")
    }
    System.unmap(memory, 2 * page)
  }
}

extension Check {
  static let guardRecords = Check("guard-records", "records of guarded blocks: freed once, and in quarantine first in, first out") { context in
    let state = UnsafeMutableRawPointer.allocate(byteCount: GuardedBlocks<HardwareMemory>.bytes, alignment: 64)
    defer { state.deallocate() }
    state.initializeMemory(as: UInt8.self, repeating: 0, count: GuardedBlocks<HardwareMemory>.bytes)
    let blocks = GuardedBlocks<HardwareMemory>(state: state)
    let tag = Tag.free(SizeClass(index: 3))
    func user(_ number: Int) -> UserPointer { UserPointer(UnsafeMutableRawPointer(bitPattern: number << 12)) }
    // Nothing is read where they say that they are.
    func free(_ numbers: ClosedRange<Int>, size: Int) {
      for number in numbers {
        let record = GuardRecord(
          user: user(number), size: size, offset: 16, end: user(number).address + 256, level: .small, tag: tag, allocated: .unknown)
        context.require(blocks.insert(record) && blocks.record(of: user(number))?.size == size, "block \(number) is not listed")
        guard case .taken(let taken) = blocks.release(user(number), by: .unknown), !taken.isFree else { return context.find("no release") }
        if case .alreadyFree = blocks.release(user(number), by: .unknown) {} else { context.find("block \(number) is freed twice") }
        blocks.quarantine(taken)
      }
      context.count(numbers.count)
    }
    if case .unknown = blocks.release(user(1), by: .unknown) {} else { context.find("a block that is none is released") }
    free(1...10, size: 100)
    context.require(blocks.quarantined(tag) == 10 && blocks.evict(over: 1000) == nil, "blocks leave quarantine too soon")
    for number in 1...4 { context.require(blocks.evict(over: 600)?.user == user(number).address, "another block than the oldest leaves") }
    context.require(blocks.evict(over: 600) == nil && blocks.quarantined(tag) == 6 && blocks.checkInvariants(), "more leave than must")
    for number in 5...10 { context.require(blocks.evict(over: nil)?.user == user(number).address, "another block than the oldest leaves") }
    context.require(blocks.evict(over: nil) == nil && blocks.quarantined(tag) == 0, "an empty quarantine has blocks")
    // However small, so many and no more.
    free(1...65_537, size: 1)
    context.require(blocks.evict(over: .max)?.user == user(1).address && blocks.evict(over: .max) == nil, "other than 65,536 blocks are kept")
    while blocks.evict(over: nil) != nil {}
    context.require(blocks.checkInvariants(), "the records do not agree")
  }
}
