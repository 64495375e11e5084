import Ashlar

// What is asked of the heap as a whole, or of no block at all.
extension OperationRunner {
  /// Every huge block goes, and no other.
  func releaseHuge() -> String? {
    var count = 0
    for slot in slots.indices {
      guard let index = position(slot), oracle.live[index].size > PoolAllocator.levelLimits.large else { continue }
      let block = oracle.live[index]
      oracle.verify(block)
      oracle.forget(index)
      forget(slot, block)
      count += 1
    }
    let released = PoolAllocator().releaseAllHugeBlocks()
    return released == count ? nil : "\(released) huge blocks are released, not \(count)"
  }

  /// Classes, orders and levels add up. Blocks before an inaccessible page belong to the small level, but to no class.
  func count() -> String? {
    let pool = PoolAllocator()
    let all = pool.statistics()
    let classes = PoolAllocator.sizeClasses.indices.reduce(0) { $0 + pool.statistics(ofSizeClass: $1).liveBlocks }
    let orders = (0..<BuddyTables.orders).reduce(0) { $0 + pool.statistics(ofOrder: $1).liveBlocks }
    if orders != all.medium.liveBlocks { return "\(all.medium.liveBlocks) medium blocks, of the orders \(orders)" }
    let before = ProcessHeap.ready.pages.live.blocks
    if classes + before != all.small.liveBlocks { return "\(all.small.liveBlocks) small blocks, of the classes \(classes), before pages \(before)" }
    if all.total.liveBlocks != oracle.live.count { return "\(all.total.liveBlocks) live blocks, not \(oracle.live.count)" }
    let tracked = PoolAllocator.trackedBlocks
    return tracked <= all.total.liveBlocks ? nil : "\(tracked) blocks are tracked, \(all.total.liveBlocks) live"
  }

  /// A request that is none is refused with the right error.
  func refuse(_ request: NoRequest) -> String? {
    let (size, alignment, expected): (Int, Int, AllocationError) =
      switch request {
      case .negative: (-1, 16, .invalidSize)
      case .unaligned: (1, 0, .invalidAlignment(0))
      case .oddlyAligned: (1, 48, .invalidAlignment(48))
      case .beyondAlignment: (1, 1 << 41, .invalidAlignment(1 << 41))
      case .everything: (.max, 16, .outOfMemory(size: .max))
      }
    do {
      let block = try PoolAllocator().allocate(size: size, alignment: alignment)
      PoolAllocator().deallocate(block)
      return "a block of \(size) aligned to \(alignment)"
    } catch { return error == expected ? nil : "refused with \(error)" }
  }

  /// An access in the page behind a block, or before it, is that block's overflow, or underflow, in the half that is nearer.
  func access(_ slot: Int, offset: Int, before: Bool) -> String? {
    guard let index = position(slot) else { return nil }
    let block = oracle.live[index].address
    let (pages, page) = (ProcessHeap.ready.pages, UInt(4096))
    guard pages.contains(block), block % page != 0 || oracle.live[index].size > 0 else { return nil }
    let start = block / page * page
    let address = before ? start - 1 - UInt(offset) : start + page + UInt(offset)
    guard let fault = pages.fault(accessing: address) else { return "an access at \(hex(address)) is none of a guarded page" }
    guard UInt(offset) < page / 2 else { return nil }
    let isRight = fault.address == block && fault.kind == (before ? .underflow : .overflow)
    return isRight ? nil : "an access at \(hex(address)) is reported as \(fault.kind) of \(hex(fault.address))"
  }
}
