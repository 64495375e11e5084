import Testing

@testable import Ashlar

/// A buddy system on a region of its own.
struct BuddyFixture: ~Copyable {
  let region: Region
  let buddy: Buddy<HardwareMemory>
  private let retentionState: UnsafeMutableRawPointer

  init(mebibytes: Int, cap: Int = 1 << 40, delay: UInt = 1_000_000) {
    region = Region(bytes: mebibytes << 20, strict: false)!
    retentionState = .allocate(byteCount: Retention.bytes, alignment: 64)
    retentionState.initializeMemory(as: UInt8.self, repeating: 0, count: Retention.bytes)
    let retention = Retention(region: region, cap: cap, delay: delay, state: retentionState)
    buddy = Buddy(tables: BuddyTables(memory: region.buddyTables, units: region.unitCount), retention: retention)
  }

  deinit {
    region.release()
    retentionState.deallocate()
  }
}

@Suite struct BuddyTests {
  @Test(arguments: 0..<BuddyTables.orders) func `every order is served after every smaller one`(order: Int) throws {
    let fixture = BuddyFixture(mebibytes: 2048)
    for smaller in 0...order { _ = try #require(fixture.buddy.allocate(order: smaller)) }
  }
}
