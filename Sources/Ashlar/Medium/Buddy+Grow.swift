extension Buddy {
  /// Joins to a block of the caller's what lies behind it, so that it is one of `order`. False, and the block is what it was, where not all
  /// of that is free and merged, where no block of that order begins there, and while another thread merges.
  ///
  /// O(orders²), plus the merging of what was queued.
  package func grow(_ block: Block, to order: Int) -> Bool {
    let index = block.index &>> (order &- block.order)
    guard index &<< (order &- block.order) == block.index, exists(order, index), tryBecomeWorker() else { return false }
    drain()
    let isGrown = inTransit { join(block.order, block.index &+ 1, below: order) }
    resign()
    return isGrown
  }

  // Block by block, each twice as large as the one before it, or none of them.
  private func join(_ order: Int, _ behind: Int, below last: Int) -> Bool {
    guard order < last else { return true }
    guard let state = claim(order, behind) ?? claimHot(order, behind) else { return false }
    let block = Block(order: order, index: behind, isDirty: state & State.dirty != 0)
    guard join(order &+ 1, behind &>> 1 &+ 1, below: last) else {
      makeFree(block, stamp: state &>> State.stampShift)
      return false
    }
    if block.isDirty { countDirty(block, -1) }
    return true
  }

  // What was freed last of its order, all of the block or a part of it, is in no list, and keeps its buddy from being merged.
  private func claimHot(_ order: Int, _ index: Int) -> UInt? {
    for smaller in 0...order {
      let found = Memory.load(tables.hot(order: smaller))
      guard found != 0, Block(found).firstUnit &>> order == index else { continue }
      if takeHot(smaller, ifStill: found) { merge(found) }
    }
    return claim(order, index)
  }
}
