import AshlarSuite
import Testing

@testable import Ashlar

@Suite struct BuddyTests {
  @Test(arguments: 0..<BuddyTables.orders) func `every order is served after every smaller one`(order: Int) throws {
    let fixture = OwnLayers(mebibytes: 2048)
    for smaller in 0...order {
      let block = try #require(fixture.buddy.allocate(order: smaller))
      #expect(block.order == smaller && !block.isDirty)
    }
    #expect(fixture.buddy.checkInvariants())
  }

  @Test(arguments: [4, 100, 512, 700, 1024]) func `all memory is served, once, and comes back whole`(mebibytes: Int) {
    let fixture = OwnLayers(mebibytes: mebibytes)
    for _ in 0..<3 {
      var blocks: [Buddy<HardwareMemory>.Block] = []
      while let block = fixture.buddy.allocate(order: 0) { blocks.append(block) }
      #expect(Set(blocks.map(\.index)).count == mebibytes && blocks.count == mebibytes)
      blocks.shuffle()
      blocks.forEach { fixture.buddy.release($0) }
      #expect(fixture.buddy.checkInvariants())
    }
    // Merged as far as the size of the region allows.
    var order = BuddyTables.orders - 1
    while 1 << order > mebibytes { order -= 1 }
    #expect(fixture.buddy.allocate(order: order) != nil)
  }

  /// Against a model that knows for each unit who has it.
  @Test(arguments: 0..<20) func `random requests agree with a bitmap`(seed: Int) {
    let fixture = OwnLayers(mebibytes: 700, cap: 64 << 20, delay: 0)
    var generator = SeededGenerator(seed: UInt64(seed))
    var isTaken = [Bool](repeating: false, count: 700)
    var live: [Buddy<HardwareMemory>.Block] = []
    for _ in 0..<2000 {
      if live.isEmpty || Int.random(in: 0..<5, using: &generator) < 3 {
        let order = generator.logarithmic(in: 1...512).trailingZeroBitCount
        guard let block = fixture.buddy.allocate(order: order) else { continue }
        #expect(block.units.allSatisfy { !isTaken[$0] } && block.firstUnit % (1 << order) == 0)
        for unit in block.units { isTaken[unit] = true }
        live.append(block)
      } else {
        let block = live.remove(at: Int.random(in: 0..<live.count, using: &generator))
        for unit in block.units { isTaken[unit] = false }
        fixture.buddy.release(.init(order: block.order, index: block.index, isDirty: Bool.random(using: &generator)))
      }
    }
    live.forEach { fixture.buddy.release($0) }
    #expect(fixture.buddy.checkInvariants() && fixture.buddy.dirtyUnits >= 0)
    fixture.buddy.purge(all: true)
    #expect(fixture.buddy.dirtyUnits == 0)
  }

  @Test func `the block freed last is served first`() throws {
    let fixture = OwnLayers(mebibytes: 64)
    let blocks = try (0..<4).map { _ in try #require(fixture.buddy.allocate(order: 1)) }
    for block in blocks {
      fixture.buddy.release(block)
      #expect(fixture.buddy.allocate(order: 1) == block)
      fixture.buddy.release(block)
    }
  }

  @Test func `a purged block reads as zero and says so`() throws {
    let fixture = OwnLayers(mebibytes: 64)
    let block = try #require(fixture.buddy.allocate(order: 2))
    let start = UnsafeMutableRawPointer(bitPattern: fixture.region.address(ofUnit: block.firstUnit))!
    start.initializeMemory(as: UInt8.self, repeating: 0xFF, count: 4 << 20)
    fixture.buddy.release(.init(order: 2, index: block.index, isDirty: true))
    #expect(fixture.buddy.dirtyUnits == 4)
    fixture.buddy.purge(all: true)
    #expect(fixture.buddy.dirtyUnits == 0)
    let again = try #require(fixture.buddy.allocate(order: 2))
    #expect(again == .init(order: 2, index: block.index, isDirty: false))
    #expect((0..<(4 << 20)).allSatisfy { start.load(fromByteOffset: $0, as: UInt8.self) == 0 })
  }

  @Test func `more than the cap is not kept, the longest free goes first`() throws {
    let fixture = OwnLayers(mebibytes: 256, cap: 8 << 20)
    let blocks = try (0..<64).map { _ in try #require(fixture.buddy.allocate(order: 0)) }
    for block in blocks {
      fixture.buddy.release(.init(order: 0, index: block.index, isDirty: true))
      #expect(fixture.buddy.dirtyUnits <= 8)
    }
  }

  @Test func `four threads never get the same unit`() {
    let fixture = OwnLayers(mebibytes: 256, cap: 32 << 20, delay: 0)
    let buddy = UncheckedBox(fixture.buddy)
    let owners = UncheckedBox(UnsafeMutablePointer<Int>.allocate(capacity: 256))
    owners.value.initialize(repeating: -1, count: 256)
    let clashes = UncheckedBox(UnsafeMutablePointer<Int>.allocate(capacity: 4))
    clashes.value.initialize(repeating: 0, count: 4)
    Threads.run(4) { thread in
      var generator = SeededGenerator(seed: 7, part: "buddy", index: thread)
      var live: [Buddy<HardwareMemory>.Block] = []
      for _ in 0..<5000 {
        if live.count < 12, Bool.random(using: &generator),
          let block = buddy.value.allocate(order: Int.random(in: 0...3, using: &generator))
        {
          for unit in block.units {
            if owners.value[unit] != -1 { clashes.value[thread] += 1 }
            owners.value[unit] = thread
          }
          live.append(block)
        } else if !live.isEmpty {
          let block = live.remove(at: Int.random(in: 0..<live.count, using: &generator))
          for unit in block.units {
            if owners.value[unit] != thread { clashes.value[thread] += 1 }
            owners.value[unit] = -1
          }
          buddy.value.release(.init(order: block.order, index: block.index, isDirty: true))
        }
      }
      live.forEach { block in
        for unit in block.units { owners.value[unit] = -1 }
        buddy.value.release(block)
      }
    }
    #expect((0..<4).allSatisfy { clashes.value[$0] == 0 })
    #expect(fixture.buddy.checkInvariants())
    var whole = 0
    while fixture.buddy.allocate(order: 0) != nil { whole += 1 }
    #expect(whole == 256)
    owners.value.deallocate()
    clashes.value.deallocate()
  }
}

/// Lets a test share what is thread-safe without saying so.
struct UncheckedBox<Value>: @unchecked Sendable {
  let value: Value
  init(_ value: Value) { self.value = value }
}
