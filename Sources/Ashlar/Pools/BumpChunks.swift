/// Chunks that memory is cut from by moving a pointer: what an arena is made of.
///
/// The chunks form a list, and those behind the current one are unused. A request that does not fit in the current chunk goes to
/// the next one, and where that is too small a larger one takes its place. So after a reset the same requests meet the same chunks in
/// the same order, and get the same addresses; and as a chunk is only ever exchanged for a larger one, requests in random order don't
/// make the list longer and longer.
///
/// A value of pointers. Not thread-safe: an owner, or who holds a lock. The words outlive it, and belong to nothing else.
@usableFromInline
package struct BumpChunks<Memory: PlainMemory> {
  @usableFromInline let words: PlainPointer<Memory, UInt>
  @usableFromInline let isWatched: Bool
  private let freed: FreedBytes

  // The current chunk's first byte that is not handed out and its end; the current chunk, and the first one, 0 for none; a lock, for
  // who needs one.
  @usableFromInline enum Word {
    @inlinable static var next: Int { 0 }
    @inlinable static var end: Int { 1 }
    static var current: Int { 2 }
    static var first: Int { 3 }
    static var lock: Int { 4 }
  }

  package static var bytes: Int { CacheLine.bytes }

  /// `words` are `bytes` zeroes, 8-byte aligned: no chunk.
  package init(words: UnsafeMutableRawPointer, freed: FreedBytes) {
    self.words = PlainPointer(words)
    self.freed = freed
    isWatched = freed.isWatched
  }

  /// Where the words are.
  var start: UnsafeMutableRawPointer { words.raw }

  package var lock: SharedWord { SharedWord(words + Word.lock) }

  /// The start of a chunk: where the next one is, its end, up to where its bytes were handed out when it was left, and up to where they
  /// ever were.
  private struct Chunk {
    static var headerBytes: Int { 32 }
    let header: PlainPointer<Memory, UInt>

    init(_ memory: UnsafeMutableRawPointer) { header = PlainPointer(memory) }

    /// `address` is not 0.
    init(_ address: UInt) { self.init(UnsafeMutableRawPointer(bitPattern: address).unsafelyUnwrapped) }

    var address: UInt { UInt(bitPattern: header.raw) }
    var start: UInt { address + UInt(Self.headerBytes) }
    var next: UInt {
      get { header[0] }
      nonmutating set { header[0] = newValue }
    }
    var end: UInt {
      get { header[1] }
      nonmutating set { header[1] = newValue }
    }
    var left: UInt {
      get { header[2] }
      nonmutating set { header[2] = newValue }
    }
    var retired: UInt {
      get { header[3] }
      nonmutating set { header[3] = newValue }
    }

    func holds(_ size: Int, _ alignment: Int) -> Bool {
      let aligned = start.roundedUp(to: UInt(alignment))
      return aligned <= end && UInt(size) <= end - aligned
    }
  }

  // MARK: Allocating

  /// `size` bytes of the current chunk; nil when they don't fit. Where the chunks are watched, `issue` comes next.
  ///
  /// - Parameters:
  ///   - size: not negative.
  ///   - alignment: a power of two, at most 2^40.
  @inlinable @inline(__always)
  package func take(_ size: Int, _ alignment: Int) -> UnsafeMutableRawPointer? {
    let start = (words[Word.next] &+ UInt(bitPattern: alignment &- 1)) & ~UInt(bitPattern: alignment &- 1)
    // Aligning may have gone past the end: there is less than nothing left then.
    guard size <= Int(bitPattern: words[Word.end]) &- Int(bitPattern: start) else { return nil }
    words[Word.next] = start &+ UInt(bitPattern: size)
    return UnsafeMutableRawPointer(bitPattern: start)
  }

  /// Bytes of a chunk for a request that does not fit in the next one; nil when no chunk is needed. The header and any padding are
  /// in it.
  package func chunkNeeded(_ size: Int, _ alignment: Int) -> Int? {
    if let next = nextChunk, next.holds(size, alignment) { return nil }
    let (sum, overflow) = size.addingReportingOverflow(Chunk.headerBytes + alignment)
    return overflow ? .max : sum
  }

  private var nextChunk: Chunk? {
    let next = words[Word.current] == 0 ? words[Word.first] : Chunk(words[Word.current]).next
    return UnsafeMutableRawPointer(bitPattern: next).map { Chunk($0) }
  }

  /// Puts a chunk behind the current one, in the place of the next one, which is answered. The caller gives up the one and owns the
  /// other.
  package func replaceNext(_ memory: UnsafeMutableRawPointer, bytes: Int) -> UnsafeMutableRawPointer? {
    let old = nextChunk
    let chunk = Chunk(memory)
    chunk.next = old?.next ?? 0
    chunk.end = chunk.address + UInt(bytes)
    chunk.left = chunk.start
    chunk.retired = chunk.start
    freed.forbid(chunk.start..<chunk.end)
    if words[Word.current] == 0 { words[Word.first] = chunk.address } else { Chunk(words[Word.current]).next = chunk.address }
    if let old { freed.permit(old.start..<old.end) }
    return old?.header.raw
  }

  /// Goes on to the next chunk, which is there.
  package func advance() {
    guard let next = nextChunk else { return }
    leave()
    enter(next)
  }

  private func leave() {
    if words[Word.current] != 0 { Chunk(words[Word.current]).left = words[Word.next] }
  }

  private func enter(_ chunk: Chunk) {
    words[Word.current] = chunk.address
    words[Word.next] = chunk.start
    words[Word.end] = chunk.end
  }

  // MARK: Watching

  /// Says that bytes that were taken are a user's. Answers what was found to have been written into them since the last reset.
  package func issue(_ start: UnsafeMutableRawPointer, _ size: Int) -> Fault? {
    let bytes = UInt(bitPattern: start)..<UInt(bitPattern: start) + UInt(size)
    let retired = min(max(Chunk(words[Word.current]).retired, bytes.lowerBound), bytes.upperBound)
    freed.permit(retired..<bytes.upperBound)
    guard let changed = freed.reissue(bytes.lowerBound..<retired) else { return nil }
    var fault = Fault(operation: .reuse, kind: .writeAfterFree, address: bytes.lowerBound, state: "free: the arena was reset")
    fault.blockSize = size
    fault.offset = Int(changed - bytes.lowerBound)
    return fault
  }

  // MARK: All at once

  /// Takes everything back and keeps the chunks. O(1); O(bytes) where they are watched.
  package func reset() {
    leave()
    if isWatched { forEachUsed(retire) }
    // The next request finds no room and goes on to the first chunk.
    words[Word.current] = 0
    (words[Word.next], words[Word.end]) = (0, 0)
  }

  private func retire(_ chunk: Chunk) {
    freed.retire(chunk.start..<chunk.left)
    chunk.retired = max(chunk.retired, chunk.left)
  }

  // From the first chunk to the current one.
  private func forEachUsed(_ body: (Chunk) -> Void) {
    guard words[Word.current] != 0 else { return }
    var address = words[Word.first]
    while true {
      body(Chunk(address))
      if address == words[Word.current] { return }
      address = Chunk(address).next
    }
  }

  /// Takes everything back and hands every chunk to `body`, which owns it then. O(chunks).
  package func releaseAll(_ body: (UnsafeMutableRawPointer) -> Void) {
    var address = words[Word.first]
    for index in [Word.next, Word.end, Word.current, Word.first] { words[index] = 0 }
    while address != 0 {
      let chunk = Chunk(address)
      address = chunk.next
      freed.permit(chunk.start..<chunk.end)
      body(chunk.header.raw)
    }
  }

  /// Chunks that there are, their bytes, and the bytes handed out since the last reset, with what lies between them. O(chunks).
  package var counts: (chunks: Int, bytes: Int, used: Int) {
    var counts = (chunks: 0, bytes: 0, used: 0)
    var address = words[Word.first]
    while address != 0 {
      let chunk = Chunk(address)
      counts.chunks += 1
      counts.bytes += Int(chunk.end - chunk.address)
      address = chunk.next
    }
    leave()
    forEachUsed { counts.used += Int($0.left - $0.start) }
    return counts
  }

  /// Whether the current chunk is one of the list, and what is said of each chunk lies within it. O(chunks).
  package func checkInvariants() -> Bool {
    leave()
    var isCurrentListed = words[Word.current] == 0
    var address = words[Word.first]
    while address != 0 {
      let chunk = Chunk(address)
      let whole = chunk.start...chunk.end
      guard whole.contains(chunk.left), whole.contains(chunk.retired) else { return false }
      if address == words[Word.current] { isCurrentListed = words[Word.end] == chunk.end }
      address = chunk.next
    }
    return isCurrentListed && words[Word.next] <= words[Word.end]
  }
}
