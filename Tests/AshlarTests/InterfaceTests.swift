import AshlarSuite
import Glibc
import Testing

@testable import Ashlar

@Suite struct InterfaceTests {
  private let pool = PoolAllocator()

  /// Every size class and one size above and below it, at every alignment of the levels.
  @Test(arguments: 0...16) func `small blocks are aligned, disjoint and theirs to the last byte`(exponent: Int) throws {
    let alignment = 1 << exponent
    for size in PoolAllocator.sizeClasses.flatMap({ [$0 - 1, $0, $0 + 1] }) {
      var oracle = Oracle(SwiftSubject(), seed: UInt64(size))
      for _ in 0..<(size > 65536 ? 1 : 3) { oracle.allocate(size: size, alignment: alignment) }
      oracle.verifyAll()
      oracle.freeAll()
      #expect(oracle.findings == [] && oracle.refusals == 0)
    }
  }

  @Test(arguments: 0...16) func `medium and large blocks are aligned`(exponent: Int) throws {
    for size in [1 << 20 + 1, 3 << 20, 100 << 20, 512 << 20, 512 << 20 + 1, 1 << 30, 1 << 30 + 1] {
      let block = try pool.allocate(size: size, alignment: 1 << exponent)
      #expect(UInt(bitPattern: block) % (1 << exponent) == 0 && pool.usableSize(of: block) >= size)
      block.storeBytes(of: 1, as: UInt8.self)
      block.storeBytes(of: 2, toByteOffset: size - 1, as: UInt8.self)
      pool.deallocate(block, size: size)
    }
  }

  @Test(arguments: [17, 18, 20, 21, 25, 30, 35]) func `alignments above 64 KiB are served`(exponent: Int) throws {
    let block = try pool.allocate(size: 100_000, alignment: 1 << exponent)
    #expect(UInt(bitPattern: block) % (1 << exponent) == 0)
    block.storeBytes(of: 2, toByteOffset: 99_999, as: UInt8.self)
    pool.deallocate(block)
  }

  @Test(arguments: [0, 1, 16, 1000, 5000, 1 << 20, 3 << 20, 600 << 20])
  func `a zeroed block is zero although its memory was used before`(size: Int) throws {
    for _ in 0..<3 {
      let dirty = try pool.allocate(size: size)
      dirty.initializeMemory(as: UInt8.self, repeating: 0xAB, count: min(size, 4 << 20))
      pool.deallocate(dirty)
      let block = try pool.allocateZeroed(size: size)
      let bytes = UnsafeRawBufferPointer(start: block, count: min(size, 4 << 20))
      #expect(bytes.allSatisfy { $0 == 0 })
      pool.deallocate(block)
    }
  }

  @Test func `resizing keeps the contents, across every pair of levels`() throws {
    let sizes = [1, 100, 1024, 60_000, 1 << 20, 3 << 20, 40 << 20, 600 << 20]
    for from in sizes {
      for to in sizes {
        let block = try pool.allocate(size: from)
        block.storeBytes(of: 17, as: UInt8.self)
        block.storeBytes(of: 18, toByteOffset: min(from, to) - 1, as: UInt8.self)
        let moved = try pool.reallocate(block, size: to)
        #expect(moved.load(fromByteOffset: min(from, to) - 1, as: UInt8.self) == 18)
        #expect(pool.usableSize(of: moved) >= to && (from != to || moved == block))
        pool.deallocate(moved)
      }
    }
  }

  @Test func `a failed resize leaves the block as it was`() throws {
    let block = try pool.allocate(size: 100)
    block.storeBytes(of: 99, as: UInt8.self)
    #expect(throws: AllocationError.outOfMemory(size: 1 << 60)) { try pool.reallocate(block, size: 1 << 60) }
    #expect(throws: AllocationError.invalidSize) { try pool.reallocate(block, size: -5) }
    #expect(throws: AllocationError.invalidAlignment(3)) {
      try pool.reallocate(block, size: 5, alignment: 3, file: #fileID, line: #line)
    }
    #expect(block.load(as: UInt8.self) == 99 && pool.usableSize(of: block) == 112)
    pool.deallocate(block)
  }

  @Test(arguments: [0, 3, -1, 24, Int.min, 1 << 41]) func `an alignment that is none is refused`(alignment: Int) {
    #expect(throws: AllocationError.invalidAlignment(alignment)) { try pool.allocate(size: 8, alignment: alignment) }
    #expect(pool.allocateIfPossible(size: 8, alignment: alignment) == nil)
  }

  @Test(arguments: [-1, Int.min]) func `a size that is none is refused`(size: Int) {
    #expect(throws: AllocationError.invalidSize) { try pool.allocate(size: size) }
  }

  @Test(arguments: [Int.max, Int.max - 100_000, 1 << 47]) func `a size that nobody has is refused`(size: Int) {
    #expect(throws: AllocationError.outOfMemory(size: size)) { try pool.allocate(size: size) }
  }

  @Test func `every block of size 0 has an address of its own`() throws {
    let blocks = try (0..<100).map { _ in try pool.allocate(size: 0) }
    #expect(Set(blocks).count == 100)
    blocks.forEach { pool.deallocate($0) }
    pool.deallocate(nil)
    #expect(pool.usableSize(of: nil) == 0)
  }

  @Test func `a buffer goes back where it came from`() throws {
    let counting = CountingAllocator()
    do {
      let buffer = try Buffer<Int>(count: 100, alignment: 4096, zeroed: true, allocator: counting)
      #expect(UInt(bitPattern: buffer.baseAddress) % 4096 == 0 && buffer.count == 100)
      #expect(buffer.elements.allSatisfy { $0 == 0 })
      buffer[99] = 7
      #expect(buffer[99] == 7 && counting.live.value.pointee == 1)
    }
    #expect(counting.live.value.pointee == 0)
    for count in [-1, Int.max] {
      do throws(AllocationError) {
        _ = try Buffer<Int>(count: count)
        Issue.record("a buffer of \(count)")
      } catch { #expect(error == .invalidSize) }
    }
    do throws(AllocationError) {
      _ = try Buffer<Int>(count: 1, alignment: 3)
      Issue.record("a buffer aligned to 3")
    } catch { #expect(error == .invalidAlignment(3)) }
  }

  @Test func `the default allocator can be swapped`() throws {
    #expect(DefaultAllocator.current is PoolAllocator)
    DefaultAllocator.current = SystemAllocator()
    defer { DefaultAllocator.current = PoolAllocator() }
    let system = DefaultAllocator.current
    let block = try system.allocateZeroed(size: 1000, alignment: 256)
    #expect(UInt(bitPattern: block) % 256 == 0 && !ProcessHeap.shared!.region.contains(UInt(bitPattern: block)))
    let moved = try system.reallocate(block, size: 5000)
    #expect(moved.load(fromByteOffset: 999, as: UInt8.self) == 0 && system.usableSize(of: moved) >= 5000)
    system.deallocate(moved, size: 5000)
    #expect(throws: AllocationError.invalidAlignment(3)) { try system.allocate(size: 1, alignment: 3) }
  }

  @Test func `the C functions answer as POSIX and C say`() {
    var block: UnsafeMutableRawPointer? = UnsafeMutableRawPointer(bitPattern: 8)
    for alignment: UInt in [0, 1, 4, 12, 24] { #expect(ashlarPosixMemalign(&block, alignment, 8) == EINVAL) }
    #expect(ashlarPosixMemalign(&block, 64, .max) == ENOMEM && block == UnsafeMutableRawPointer(bitPattern: 8))
    #expect(ashlarPosixMemalign(&block, 64, 100) == 0 && UInt(bitPattern: block) % 64 == 0)
    ashlarFreeAlignedSized(block, 64, 100)
    for (result, code) in [
      (errno { ashlarMalloc(.max) }, ENOMEM), (errno { ashlarCalloc(1 << 40, 1 << 40) }, ENOMEM),
      (errno { ashlarReallocarray(nil, .max, 2) }, ENOMEM), (errno { ashlarPvalloc(.max) }, ENOMEM),
      (errno { ashlarAlignedAlloc(3, 8) }, EINVAL), (errno { ashlarMemalign(0, 8) }, EINVAL),
    ] { #expect(result.block == nil && result.code == code) }
    let pages = [ashlarValloc(100), ashlarPvalloc(100)]
    #expect(pages.allSatisfy { UInt(bitPattern: $0) % 4096 == 0 } && ashlarMallocUsableSize(pages[1]) >= 4096)
    // errno is none of free's business.
    #expect(errno { for page in pages { ashlarFree(page) }; return nil }.code == 0)
    let none = ashlarRealloc(nil, 0)
    #expect(none != nil)
    ashlarFree(none)
    #expect(ashlarMallocTrim(0) == 1)
  }

  private func errno(_ body: () -> UnsafeMutableRawPointer?) -> (block: UnsafeMutableRawPointer?, code: Int32) {
    Glibc.errno = 0
    let block = body()
    return (block, Glibc.errno)
  }
}

/// Counts the blocks that it has handed out.
struct CountingAllocator: BlockAllocator {
  let live = UncheckedBox(UnsafeMutablePointer<Int>.allocate(capacity: 1))

  init() { live.value.initialize(to: 0) }

  func allocate(
    size: Int, alignment: Int, zeroed: Bool, file: StaticString, line: UInt
  ) throws(AllocationError) -> UnsafeMutableRawPointer {
    live.value.pointee += 1
    return try PoolAllocator().allocate(size: size, alignment: alignment, zeroed: zeroed, file: file, line: line)
  }
  func reallocate(
    _ block: UnsafeMutableRawPointer, size: Int, alignment: Int, file: StaticString, line: UInt
  ) throws(AllocationError) -> UnsafeMutableRawPointer {
    try PoolAllocator().reallocate(block, size: size, alignment: alignment, file: file, line: line)
  }
  func deallocate(_ block: UnsafeMutableRawPointer?) {
    live.value.pointee -= 1
    PoolAllocator().deallocate(block)
  }
  func deallocate(_ block: UnsafeMutableRawPointer?, size: Int) { deallocate(block) }
  func usableSize(of block: UnsafeMutableRawPointer?) -> Int { PoolAllocator().usableSize(of: block) }
}
