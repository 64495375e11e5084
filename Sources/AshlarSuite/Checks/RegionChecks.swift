import Ashlar
import Glibc

/// The region and what is cut from it, piece by piece.
extension Check {
  static let region = Check("region", "the region: how large and where, what lies beside it, whose an address is, which pages and tags a purge takes") {
    context in
    for (wanted, bytes) in [(4 << 20, 4 << 20), (5 << 20, 4 << 20), (12 << 20, 12 << 20), ((16 << 20) - 1, 12 << 20), (64 << 20, 64 << 20)] {
      for strict in [false, true] {
        let mapped = ProcessMemory.mapped
        guard let region = Region<HardwareMemory>(bytes: wanted, strict: strict, unitRecordBytes: { $0 * 100 }) else {
          return context.find("no region of \(wanted) bytes")
        }
        places(region, bytes, context)
        if strict { commits(region, context) }
        let beside = 32 << 20 + bytes / 16 + bytes / (64 << 10) * (64 + 512) + bytes >> 20 * 101 + (strict ? bytes >> 20 : 0)
        let reserved = ProcessMemory.mapped - mapped
        // A watcher of memory takes some of its own.
        let isExact = (bytes + beside...bytes + beside + 3 << 20).contains(reserved)
        context.require(isExact || MemoryMarks().matter, "\(bytes) bytes take \(reserved) of address space")
        region.release()
        context.require(ProcessMemory.mapped - mapped < 1 << 20 || MemoryMarks().matter, "a region leaves address space behind")
        context.count(1)
      }
    }
    reservation(context)
    context.require(Region<HardwareMemory>(bytes: (4 << 20) - 1, strict: false, unitRecordBytes: { $0 }) == nil, "a region below the smallest")
    SystemFaults.fail(call: 1, onwards: false)
    let halved = Region<HardwareMemory>(bytes: 56 << 20, strict: false, unitRecordBytes: { $0 })
    SystemFaults.lift()
    context.require(halved?.bytes == 28 << 20, "after a refusal a region has \(halved?.bytes ?? 0) bytes")
    halved?.release()
    let mapped = ProcessMemory.mapped
    SystemFaults.fail(call: 2, onwards: false)
    let strict = Region<HardwareMemory>(bytes: 56 << 20, strict: true, unitRecordBytes: { $0 })
    SystemFaults.lift()
    let taken = ProcessMemory.mapped - mapped
    context.require(strict?.bytes == 28 << 20 && taken < 72 << 20, "a region that can't be made writable leaves \(taken) bytes behind")
    strict?.release()
    bitmaps(context)
    purges(context)
  }

  // So large that each table is of whole pages: what they take together, and 2 MiB to align the whole, is all that is reserved.
  private static func reservation(_ context: CheckContext) {
    // A watcher of memory has no room for it.
    guard !MemoryMarks().matter else { return }
    let mapped = ProcessMemory.mapped
    guard let region = Region<HardwareMemory>(bytes: 64 << 30, strict: true, unitRecordBytes: { $0 * 128 }) else {
      return context.find("no region of 64 GiB")
    }
    let (units, perUnit) = (64 << 10, 1 << 20 + 16 * (4096 + 64 + 512) + 128 + 1 + 1)
    let (reserved, expected) = (ProcessMemory.mapped - mapped, units * perUnit + (32 + 2) << 20)
    context.require(reserved == expected, "64 GiB take \(reserved) of address space, not \(expected)")
    // What is known of them lies in the reservation's last page.
    context.require(region.commit(units: (units - 1)..<units), "the last unit is refused")
    // Its records in each table are the last ones there: those of the next begin where they end.
    let ends = [region.descriptors, region.unitRecords] + (0..<4).map { region.bitmap(ofPage: 0, part: $0) }
    for end in ends {
      context.require(canBeWritten(UInt(bitPattern: end) - 1), "a record of the last unit can't be written")
    }
    region.release()
    context.count(1)
  }

  private static func places(_ region: Region<HardwareMemory>, _ bytes: Int, _ context: CheckContext) {
    let end = region.base + UInt(bytes)
    context.require(region.bytes == bytes && region.unitCount == bytes >> 20 && region.base % (2 << 20) == 0, "\(bytes) bytes: \(region)")
    let pages = bytes / (64 << 10)
    let tables = [
      UInt(bitPattern: region.route(ofPage: 0).address), UInt(bitPattern: region.tags), UInt(bitPattern: region.descriptors),
    ] + (0..<4).map { UInt(bitPattern: region.bitmap(ofPage: 0, part: $0)) } + [UInt(bitPattern: region.unitRecords)]
    let offsets = [0, 32 << 20, bytes / 16, pages * 64, pages * 128, pages * 128, pages * 128, pages * 128].reduce(into: [end]) { $0.append($0.last! + UInt($1)) }.dropFirst()
    context.require(tables == Array(offsets), "the tables of \(bytes) bytes lie at \(tables.map(hex))")
    context.require(region.contains(region.base) && region.contains(end - 1), "a region without its ends")
    let (first, last) = (UInt(bitPattern: region.tags), UInt(bitPattern: region.tags) + UInt(bytes / 16))
    context.require(region.contains(TagAddress(first)) && region.contains(TagAddress(last - 1)), "tags without their ends")
    context.require(!region.contains(TagAddress(first - 1)) && !region.contains(TagAddress(last)), "tags with what lies beside them")
    context.require(!region.contains(region.base - 1) && !region.contains(end) && !region.contains(0), "a region with what lies beside it")
    for unit in [0, 1, region.unitCount - 1] {
      let start = region.base + UInt(unit) << 20
      context.require(region.address(ofUnit: unit) == start && region.unit(of: start) == unit && region.unit(of: start + 1 << 20 - 1) == unit, "unit \(unit)")
    }
    for page in [0, 1, pages - 1] {
      let start = region.base + UInt(page) << 16
      let route = UInt(bitPattern: region.route(ofPage: page).address)
      context.require(route == end + 2 * UInt(page), "the route of page \(page) lies at \(hex(route))")
      context.require(region.address(ofPage: page) == start && region.page(of: start) == page && region.page(of: start + 65_535) == page, "page \(page)")
    }
  }

  // Unit by unit: what was not asked for can't be written.
  private static func commits(_ region: Region<HardwareMemory>, _ context: CheckContext) {
    context.require(!canBeWritten(region.base), "a unit can be written before it is asked for")
    let calls = SystemFaults.callCount
    context.require(region.commit(units: 1..<2) && region.commit(units: 1..<2), "a unit is refused")
    context.require(SystemFaults.callCount - calls == 8, "a unit, its tags and records take \(SystemFaults.callCount - calls) calls")
    let (first, end) = (region.address(ofUnit: 1), region.address(ofUnit: 2))
    context.require(canBeWritten(first) && canBeWritten(end - 1), "a unit can't be written")
    context.require(!canBeWritten(first - 1) && !canBeWritten(end), "what lies beside a unit can be written")
    let tags = UInt(bitPattern: region.tags)
    let writable = [0, 65_535, 65_536, 131_071, 131_072].map { canBeWritten(tags + $0) }
    context.require(writable == [false, false, true, true, false], "tags of other units can be written: \(writable)")
    context.require(region.commit(units: 3..<4), "a unit is refused")
    // Pages of the other tables may hold records of several units.
    context.require(!canBeWritten(tags + 196_607), "tags of other units can be written")
    let bitmaps = (0..<4).map { ("bitmaps", UInt(bitPattern: region.bitmap(ofPage: 0, part: $0)), 2 << 10) }
    for (name, start, bytes) in [("tags", tags, 64 << 10)] + bitmaps {
      let ends = [3 * bytes, 4 * bytes - 1].map { canBeWritten(start + UInt($0)) }
      context.require(ends == [true, true], "of unit 3 the first and last \(name) can be written: \(ends)")
    }
  }

  // Of slabs of 64 B and more only the first part takes memory.
  private static func bitmaps(_ context: CheckContext) {
    let layers = OwnLayers(mebibytes: 4)
    madvise(layers.region.bitmap(ofPage: 0, part: 0), 4 * 64 * 128, MADV_NOHUGEPAGE)
    func touched() -> [Bool] { (0..<4).map { ResidentPages(layers.region.bitmap(ofPage: 0, part: $0), 64 * 128).present > 0 } }
    let slabs = (0..<64).map { Slab(region: layers.region, page: $0) }
    slabs.forEach { $0.open(for: SizeClass(holding: 64)) }
    // A larger page of the system's has several parts of so small a region.
    let isApart = touched() == [true, false, false, false] || System.pageBytes > 4096
    context.require(isApart, "slabs of 64 B touch the parts \(touched()) of the bitmaps")
    for slab in slabs where slab.page % 2 == 0 { slab.open(for: SizeClass(holding: 16)) }
    context.require(touched() == [true, true, true, true], "slabs of 16 B touch the parts \(touched()) of the bitmaps")
    context.require(slabs.allSatisfy { $0.checkInvariants() }, "the bitmap of a slab of 16 B changes others")
    context.count(1)
    withExtendedLifetime(layers) {}
  }

  private static func canBeWritten(_ address: UInt) -> Bool {
    UnsafeRawPointer(bitPattern: address).map { ProcessMemory.isWritable($0) } ?? false
  }

  private static func purges(_ context: CheckContext) {
    let layers = OwnLayers(mebibytes: 4)
    let region = layers.region
    // Of every page: first and last word, first and last tag. That a medium block began at a unit stays known.
    func fill() {
      for page in 0..<64 {
        let start = UnsafeMutableRawPointer(bitPattern: region.address(ofPage: page))!
        for offset in [0, 65_528] { start.storeBytes(of: 1, toByteOffset: offset, as: Int.self) }
        for offset: UInt in [0, 65_520] { region.setTag(.free(SizeClass(index: 5)), at: BlockBase(address: region.address(ofPage: page) + offset)) }
      }
    }
    func look(_ page: Int) -> (memory: Bool, tags: [UInt8]) {
      let start = UnsafeMutableRawPointer(bitPattern: region.address(ofPage: page))!
      let isKept = [0, 65_528].map { start.load(fromByteOffset: $0, as: Int.self) == 1 }
      if isKept[0] != isKept[1] { context.find("half of page \(page) is purged") }
      return (isKept[0], [0, 65_520].map { region.tag(at: region.address(ofPage: page) + $0).value })
    }
    for (pages, medium) in [(3..<4, []), (0..<16, []), (1..<40, []), (0..<64, [0, 2]), (15..<17, [1]), (16..<32, [1]), (17..<31, [1]), (5..<50, [1, 2])] as [(Range<Int>, [Int])] {
      fill()
      for unit in medium { region.setLive(order: unit, at: BlockBase(address: region.address(ofUnit: unit))) }
      let calls = SystemFaults.callCount
      context.require(region.purge(pages: pages), "a purge of pages \(pages) is refused")
      context.require(SystemFaults.callCount - calls == 2, "a purge of pages \(pages) takes \(SystemFaults.callCount - calls) calls")
      for page in 0..<64 {
        let (memory, tags) = look(page)
        let small = Tag.free(SizeClass(index: 5)).value
        let before = [medium.contains(page / 16) && page % 16 == 0 ? Tag.free(order: page / 16).live.value : small, small]
        let isPurged = pages.contains(page)
        let expected = isPurged && System.pageBytes == 4096 ? [0, 0] : before
        context.require(memory != isPurged && tags == expected, "a purge of pages \(pages), units \(medium) medium: page \(page) has tags \(tags)")
        let order = region.lastOrder(at: BlockBase(address: region.address(ofPage: page)))
        context.require(order == (page % 16 == 0 && medium.contains(page / 16) ? page / 16 : nil), "a purge of pages \(pages): page \(page) began \(order ?? -1)")
      }
      for unit in medium { region.forgetOrder(ofUnit: unit) }
      context.require((0..<4).allSatisfy { region.lastOrder(at: BlockBase(address: region.address(ofUnit: $0))) == nil }, "an order is not forgotten")
      context.count(1)
    }
    SystemFaults.fail(call: 1, onwards: false)
    fill()
    context.require(!region.purge(pages: 0..<1) && look(0).memory && look(0).tags != [0, 0], "a purge that was refused")
    SystemFaults.lift()
    let block = BlockBase(address: region.address(ofPage: 3))
    region.setTag(Tag(7), at: block)
    context.require(!region.exchangeTag(Tag(8), for: Tag(9), at: block) && region.tag(at: block.address) == Tag(7), "a tag that was another is changed")
    context.require(region.exchangeTag(Tag(7), for: Tag(9), at: block) && region.tag(at: block.address + 15) == Tag(9), "a tag is not changed")
  }

  static let poolRuns = Check("pool-runs", "runs of pages: aligned, apart, those that hold memory first, whole units given up") { context in
    var generator = context.generator()
    let layers = OwnLayers(mebibytes: 16)
    let pool = layers.pool
    var owners = [Int](repeating: -1, count: 256)
    var runs: [(slab: Slab<HardwareMemory>, order: Int)] = []
    func sound() {
      let units = (0..<16).filter { unit in owners[(16 * unit)..<(16 * unit + 16)].contains { $0 >= 0 } }
      context.require(pool.checkInvariants() && pool.heldBytes == units.count << 20, "\(units.count) units are in use, \(pool.heldBytes >> 20) held")
    }
    for step in 0..<context.share(of: 20_000) {
      // Now more of the one, now more of the other.
      if Int.random(in: 0..<8, using: &generator) < (step / 500 % 2 == 0 ? 6 : 2) {
        let order = Int.random(in: 0...4, using: &generator)
        let isFree = stride(from: 0, to: 256, by: 1 << order).contains { owners[$0..<($0 + 1 << order)].allSatisfy { $0 < 0 } }
        guard let slab = pool.take(order: order) else {
          context.require(!isFree, "no run of \(1 << order) pages, though there is one")
          continue
        }
        context.require(slab.page % (1 << order) == 0, "a run of \(1 << order) pages begins at \(slab.page)")
        let pages = slab.page..<(slab.page + 1 << order)
        context.require(owners[pages].allSatisfy { $0 < 0 }, "pages \(pages) have two owners")
        for page in pages { owners[page] = step }
        runs.append((slab, order))
      } else if !runs.isEmpty {
        let (slab, order) = runs.remove(at: Int.random(in: 0..<runs.count, using: &generator))
        for page in slab.page..<(slab.page + 1 << order) { owners[page] = -1 }
        pool.giveBack(slab, order: order)
      }
      if step % 100 == 0 { sound() }
      context.count(1)
    }
    for run in runs { pool.giveBack(run.slab, order: run.order) }
    owners = [Int](repeating: -1, count: 256)
    sound()
    warmFirst(context)
  }

  private static func warmFirst(_ context: CheckContext) {
    let layers = OwnLayers(mebibytes: 4)
    let pages = (0..<16).compactMap { _ in layers.pool.take(order: 0) }
    context.require(pages.map(\.page) == Array(0..<16), "untouched pages are taken in the order \(pages.map(\.page))")
    // 4 to 7 are purged and 9 to 11 not: warm ones come first, then the first that is free.
    for page in pages[4..<8] { layers.pool.giveBack(page, order: 0) }
    let calls = SystemFaults.callCount
    layers.pool.purge(all: true)
    context.require(SystemFaults.callCount - calls == 2, "a run of four pages, and their tags, take \(SystemFaults.callCount - calls) calls")
    for page in pages[9..<12] { layers.pool.giveBack(page, order: 0) }
    let taken = [1, 0, 0, 1].compactMap { layers.pool.take(order: $0)?.page }
    context.require(taken == [10, 9, 4, 6], "runs are taken at \(taken)")
  }

  static let slabBlocks = Check("slab-blocks", "a slab of each class: its blocks, lowest first, each home once; what its record says") { context in
    let layers = OwnLayers(mebibytes: 4)
    var generator = context.generator()
    for sizeClass in SizeClass.all {
      guard let slab = layers.pool.take(order: sizeClass.slabOrder) else { return context.find("no pages") }
      slab.open(for: sizeClass)
      let count = sizeClass.slabBlocks
      let start = layers.region.address(ofPage: slab.page)
      let all = (0..<count).map { start + UInt($0 * sizeClass.size) }
      let pages = slab.pages
      let room = (64 << 10) << sizeClass.slabOrder
      context.require(pages.count == 1 << sizeClass.slabOrder && count == room / sizeClass.size, "class \(sizeClass.index): \(count) blocks in \(pages.count) pages")
      context.require(slab.sizeClass == sizeClass && slab.isOf(sizeClass) && slab.isEmpty && slab.blockCount == count, "class \(sizeClass.index): a slab just opened")
      let division = BlockDivision(sizeClass)
      var home = Set(all)
      func comesHome(_ block: UInt) -> Bool { slab.giveBack(0..<1, division) { _ in layers.tag(block) } == 1 }
      func take(_ limit: Int) {
        var taken: [UInt] = []
        let answer = slab.take(limit) { taken.append(layers.region.block(taggedAt: $0).address) }
        let expected = Array(home.sorted().prefix(limit))
        context.require(taken == expected && answer == expected.count, "class \(sizeClass.index): \(answer) of \(limit) blocks are taken, not \(expected.count)")
        context.require(taken.allSatisfy { layers.region.tag(at: $0) == .free(sizeClass) }, "class \(sizeClass.index): a tag that does not say free")
        home.subtract(taken)
      }
      func sound() {
        context.require(slab.homeCount == home.count && slab.checkInvariants(), "class \(sizeClass.index): \(slab.homeCount) blocks are home, not \(home.count)")
        context.require(all.allSatisfy { slab.isHome(layers.tag($0)) == home.contains($0) }, "class \(sizeClass.index): others are home")
      }
      for limit in [1, 63, 64, 100, count] {
        take(limit)
        sound()
      }
      for block in all.shuffled(using: &generator).prefix(200) {
        context.require(comesHome(block) == !home.contains(block), "class \(sizeClass.index): a block comes home twice, or not")
        home.insert(block)
        context.require(!comesHome(block), "class \(sizeClass.index): a block comes home twice")
        if Int.random(in: 0..<20, using: &generator) == 0 { take(3) }
      }
      sound()
      take(count)
      for block in all { _ = comesHome(block) }
      slab.close()
      context.require(slab.sizeClass == nil && !slab.isOf(sizeClass) && slab.pages.count == 1, "class \(sizeClass.index): a slab that is closed")
      context.require(!slab.isHome(layers.tag(all[0])) && !slab.checkInvariants(), "class \(sizeClass.index): a closed slab has blocks")
      layers.pool.giveBack(slab, order: sizeClass.slabOrder)
      context.count(1)
    }
  }
}
