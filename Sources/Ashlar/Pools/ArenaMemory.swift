/// An arena's chunks and where they come from.
@usableFromInline
package struct ArenaMemory<Memory: PlainMemory> {
  @usableFromInline package let chunks: BumpChunks<Memory>
  private let chunkBytes: Int
  private let allocator: any BlockAllocator
  private let file: StaticString
  private let line: UInt

  /// A chunk is no larger than this unless a request, or the first chunk, is.
  package static var chunkLimit: Int { 1 << 20 }

  /// - Parameter words: `BumpChunks.bytes` zeroes, 8-byte aligned, that outlive it.
  package init(
    words: UnsafeMutableRawPointer, chunkSize: Int, allocator: any BlockAllocator, file: StaticString = #fileID, line: UInt = #line
  ) throws(AllocationError) {
    guard chunkSize >= 0, chunkSize <= 1 << 40 else { throw .invalidSize }
    chunkBytes = max(chunkSize, 256)
    self.allocator = allocator
    self.file = file
    self.line = line
    chunks = BumpChunks(words: words, freed: FreedBytes())
  }

  package func releaseChunks() { chunks.releaseAll { allocator.deallocate($0) } }

  /// A request that does not fit in the current chunk, or has to be looked at.
  ///
  /// - Parameter damage: what was found in the bytes, for the caller to report when no lock is held.
  package func allocateSlowly(_ size: Int, _ alignment: Int, damage: (Fault) -> Void) throws(AllocationError) -> UnsafeMutableRawPointer {
    guard size >= 0 else { throw .invalidSize }
    guard let valid = Alignment(UInt(bitPattern: alignment))?.value else { throw .invalidAlignment(alignment) }
    // Of size 0 too each has an address of its own.
    let bytes = max(size, 1)
    if let block = chunks.take(bytes, valid) { return issue(block, bytes, damage) }
    if let needed = chunks.chunkNeeded(bytes, valid) { try addChunk(holding: needed, for: size) }
    chunks.advance()
    guard let block = chunks.take(bytes, valid) else { throw .outOfMemory(size: size) }
    return issue(block, bytes, damage)
  }

  private func issue(_ block: UnsafeMutableRawPointer, _ bytes: Int, _ damage: (Fault) -> Void) -> UnsafeMutableRawPointer {
    if let fault = chunks.issue(block, bytes) { damage(fault) }
    return block
  }

  // Each as large as all before it together, so that their number grows with the logarithm of what is asked for.
  private func addChunk(holding needed: Int, for size: Int) throws(AllocationError) {
    let grown = min(max(chunks.counts.bytes, chunkBytes), max(Self.chunkLimit, chunkBytes))
    let bytes = max(needed, grown)
    guard let memory = try? allocator.allocate(size: bytes, alignment: 16, zeroed: false, file: file, line: line) else {
      throw .outOfMemory(size: size)
    }
    if let old = chunks.replaceNext(memory, bytes: bytes) { allocator.deallocate(old) }
  }
}

// The words of an arena are a block of the pool, wherever its chunks lie.
extension ArenaMemory where Memory == HardwareMemory {
  static func make(
    chunkSize: Int, allocator: any BlockAllocator, file: StaticString, line: UInt
  ) throws(AllocationError) -> Self {
    let words = try PoolAllocator().allocate(size: BumpChunks<Memory>.bytes, alignment: CacheLine.bytes, zeroed: true, file: file, line: line)
    do throws(AllocationError) {
      return try Self(words: words, chunkSize: chunkSize, allocator: allocator, file: file, line: line)
    } catch {
      PoolAllocator().deallocate(words)
      throw error
    }
  }

  func release() {
    releaseChunks()
    PoolAllocator().deallocate(chunks.start)
  }

  @usableFromInline @inline(never)
  func allocateSlowly(_ size: Int, _ alignment: Int) throws(AllocationError) -> UnsafeMutableRawPointer {
    try allocateSlowly(size, alignment) { $0.report() }
  }
}
