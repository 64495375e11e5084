import AshlarSuite
import CAshlar
import Testing

@testable import Ashlar

@Suite struct RecordTests {
  @Test(arguments: 0..<5) func `the address table agrees with a dictionary`(seed: Int) {
    let memory = ZeroedMemory(bytes: AddressTable<HardwareMemory, Int>.bytes)
    let table = AddressTable<HardwareMemory, Int>(state: PlainPointer(memory.start))
    var model: [UInt: Int] = [:]
    var generator = SeededGenerator(seed: UInt64(seed))
    for step in 0..<20_000 {
      // Few addresses, a page apart, so that runs of neighbours collide, part and close.
      let key = UInt.random(in: 1...600, using: &generator) << 12
      if model[key] == nil, Bool.random(using: &generator) {
        #expect(table.makeRoom())
        table.insert(key, step)
        model[key] = step
      } else {
        #expect(table.remove(key) == model.removeValue(forKey: key))
      }
      #expect(table[key] == model[key] && table.count == model.count)
    }
    #expect(table.checkInvariants() && table[0] == nil)
    table.removeAll()
    #expect(table.count == 0 && table[4096] == nil)
  }

  @Test func `direct mappings are aligned, resized, listed and given back`() throws {
    let memory = ZeroedMemory(bytes: DirectMappings<HardwareMemory>.bytes)
    let direct = DirectMappings<HardwareMemory>(state: memory.start, hugePages: true)
    for exponent in 0...30 {
      let base = try #require(direct.allocate(size: 5000, alignment: 1 << exponent)?.base)
      #expect(base.address % (1 << exponent) == 0)
      #expect(direct.block(at: base)?.mapped == 8192 && direct.block(at: BlockBase(address: base.address + 4096)) == nil)
      #expect(direct.release(base) && !direct.release(base) && direct.wasReleased(base))
    }
    let base = try #require(direct.allocate(size: 1 << 20, alignment: 16)?.base)
    base.raw.storeBytes(of: 42, as: Int.self)
    let larger = try #require(direct.resize(base, to: 1 << 31, alignment: 1))
    #expect(larger.raw.load(as: Int.self) == 42 && direct.counts(huge: true).liveBlocks == 1)
    #expect(direct.counts(huge: false).liveBlocks == 0 && direct.checkInvariants())
    #expect(direct.releaseAllHuge() == 1 && direct.block(at: larger) == nil && direct.checkInvariants())
    // An alignment that is asked for late, the mapping gets by being moved.
    let page = try #require(direct.allocate(size: 1 << 20, alignment: 16)?.base)
    let aligned = try #require(direct.resize(page, to: 2 << 20, alignment: 1 << 24))
    #expect(aligned.address % (1 << 24) == 0 && direct.block(at: aligned)?.size == 2 << 20)
    #expect(direct.release(aligned))
    #expect(direct.counts(huge: true).allocations == 1 && direct.counts(huge: false).allocations >= 0)
    #expect(direct.allocate(size: .max, alignment: 16) == nil)
    #expect(direct.allocate(size: 1 << 20, alignment: 1 << 62) == nil)
  }

  @Test func `the empty cache has nothing and takes nothing`() {
    let empty = ThreadCache<HardwareMemory>(ashlar_no_cache())
    for size: UInt in 0...1024 { #expect(!empty.serves(size)) }
    #expect(empty.bin(at: 0).room == nil)
    for index in 0..<SizeClass.count {
      let bin = empty.bin(SizeClass(index: index))
      #expect(bin.count == 0 && bin.room == nil && !bin.isOpen)
    }
    // It lies in C's memory.
    #expect(ThreadCache<HardwareMemory>.bytes == ASHLAR_CACHE_BYTES)
  }

  @Test(arguments: [16, 100, 4096, 128 << 10, 1 << 20])
  func `the pages of a slab lead to the bin of its class, and nowhere once it is closed`(size: Int) throws {
    let fixture = OwnLayers(mebibytes: 8)
    let sizeClass = SizeClass(holding: size)
    let block = try #require(fixture.blocks(sizeClass, 1).first)
    let first = fixture.region.page(of: block)
    func routes() -> [UInt16] {
      (0..<RegionLayout.pagesPerUnit).map { HardwareMemory.load(fixture.region.route(ofPage: first / 16 * 16 + $0)) }
    }
    let pages = 1 << sizeClass.slabOrder
    #expect(routes().filter { $0 == UInt16(BinLayout.offset(of: sizeClass)) }.count == pages && routes().filter { $0 != 0 }.count == pages)
    #expect(HardwareMemory.load(fixture.region.route(ofPage: first)) != 0)
    #expect(fixture.giveBack(sizeClass, [block]) == nil && routes().allSatisfy { $0 == 0 })
  }

  @Test func `a full magazine travels through the stack of its class`() throws {
    let fixture = OwnLayers(mebibytes: 8)
    let sizeClass = SizeClass(holding: 100)
    let blocks = fixture.blocks(sizeClass, 64)
    let magazine = try #require(fixture.depots.takeEmpty())
    magazine.hold(64) { fixture.tag(blocks[$0]) }
    #expect(fixture.depots.put(magazine, sizeClass) == 1 && fixture.depots.blockCount(sizeClass) == 64)
    #expect(fixture.depots.holds(fixture.tag(blocks[63]), sizeClass))
    #expect(fixture.depots.take(SizeClass(holding: 200)) == nil)
    let taken = try #require(fixture.depots.take(sizeClass))
    #expect(taken.address == magazine.address && fixture.depots.blockCount(sizeClass) == 0)
    #expect(fixture.depots.put(taken, sizeClass) == 1)
    fixture.depots.drain(sizeClass, into: fixture.slabs)
    #expect(fixture.slabs.takenCount(sizeClass) == 0 && fixture.depots.takeEmpty()?.address == magazine.address)
  }

  @Test func `user and base pointers are converted in one place, and not twice`() throws {
    let source = packageRoot.appending(path: "Sources/Ashlar/Region/Pointers.swift").path
    func compiles(_ line: String) throws -> Bool {
      let snippet = try temporaryFile("func use(_ user: UserPointer, _ base: BlockBase) { \(line) }\n", "snippet.swift")
      return try run("swiftc", ["-typecheck", "-package-name", "ashlar", source, snippet]).code == 0
    }
    #expect(try compiles("_ = UserPointer(BlockBase(user)); _ = BlockBase(UserPointer(base))"))
    #expect(try !compiles("_ = BlockBase(BlockBase(user))"))
    #expect(try !compiles("_ = UserPointer(UserPointer(base))"))
    #expect(try !compiles("let mixed: BlockBase = user"))
  }
}
