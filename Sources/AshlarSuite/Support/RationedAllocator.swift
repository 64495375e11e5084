import Ashlar

/// The pool, with so many blocks in all.
final class RationedAllocator: BlockAllocator {
  private let left: SharedCount
  private let lent = SharedCount()

  init(blocks: Int) {
    left = SharedCount()
    left.value = blocks
  }

  /// Blocks that were not given back.
  var live: Int { lent.value }

  func allocate(
    size: Int, alignment: Int, zeroed: Bool, file: StaticString, line: UInt
  ) throws(AllocationError) -> UnsafeMutableRawPointer {
    guard left.value > 0 else { throw .outOfMemory(size: size) }
    let block = try PoolAllocator().allocate(size: size, alignment: alignment, zeroed: zeroed, file: file, line: line)
    left.add(-1)
    lent.add(1)
    return block
  }

  func reallocate(
    _ block: UnsafeMutableRawPointer, size: Int, alignment: Int, file: StaticString, line: UInt
  ) throws(AllocationError) -> UnsafeMutableRawPointer {
    try PoolAllocator().reallocate(block, size: size, alignment: alignment, file: file, line: line)
  }

  func deallocate(_ block: UnsafeMutableRawPointer?) {
    PoolAllocator().deallocate(block)
    lent.add(-1)
  }

  func deallocate(_ block: UnsafeMutableRawPointer?, size: Int) { deallocate(block) }
  func usableSize(of block: UnsafeMutableRawPointer?) -> Int { PoolAllocator().usableSize(of: block) }
}
