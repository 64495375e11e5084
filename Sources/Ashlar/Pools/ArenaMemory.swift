/// An arena's chunks and where they come from.
@usableFromInline
package struct ArenaMemory {
  @usableFromInline let chunks: BumpChunks<HardwareMemory>
  private let words: UnsafeMutableRawPointer
  private let chunkBytes: Int
  private let allocator: any BlockAllocator
  private let file: StaticString
  private let line: UInt

  /// A chunk is no larger than this unless a request, or the first chunk, is.
  package static var chunkLimit: Int { 1 << 20 }

  package init(chunkSize: Int, allocator: any BlockAllocator, file: StaticString, line: UInt) throws(AllocationError) {
    guard chunkSize >= 0, chunkSize <= 1 << 40 else { throw .invalidSize }
    // The words of an arena are its own affair, wherever its chunks lie.
    words = try PoolAllocator().allocate(
      size: BumpChunks<HardwareMemory>.bytes, alignment: 64, zeroed: true, file: file, line: line)
    chunkBytes = max(chunkSize, 256)
    self.allocator = allocator
    self.file = file
    self.line = line
    chunks = BumpChunks(words: words, freed: FreedBytes())
  }

  @usableFromInline
  func release() {
    releaseChunks()
    PoolAllocator().deallocate(words)
  }

  func releaseChunks() { chunks.releaseAll { allocator.deallocate($0) } }

  /// A request that does not fit in the current chunk, or has to be looked at.
  ///
  /// - Parameter damage: what was found in the bytes, for the caller to report when no lock is held.
  func allocateSlowly(_ size: Int, _ alignment: Int, damage: (Fault) -> Void) throws(AllocationError) -> UnsafeMutableRawPointer {
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
    if chunks.isWatched, let fault = chunks.issue(block, bytes) { damage(fault) }
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

/// What an arena holds.
public struct ArenaStatistics: Sendable, Equatable {
  /// Chunks that it has from its allocator.
  public var chunks = 0
  /// Bytes of the chunks.
  public var reservedBytes = 0
  /// Bytes handed out since the last reset, with the gaps that alignment leaves between them.
  public var usedBytes = 0

  init(_ counts: (chunks: Int, bytes: Int, used: Int)) {
    chunks = counts.chunks
    reservedBytes = counts.bytes
    usedBytes = counts.used
  }
}
