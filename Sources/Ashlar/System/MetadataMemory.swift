/// Memory for the allocator's own records. It is handed out once, zeroed, on lines of its own, and never taken back.
///
/// Thread-safe. O(1).
package struct MetadataMemory<Memory: SharedMemory> {
  // Three words: lock, next free address, end of the current mapping.
  private let state: PlainPointer<Memory, UInt>
  private static var mappingBytes: Int { 256 << 10 }

  package static var bytes: Int { CacheLine.bytes }

  /// `state` is `bytes` long and zero.
  package init(state: UnsafeMutableRawPointer) { self.state = PlainPointer(state) }

  package var lock: Lock<Memory> { Lock(SharedWord(state)) }

  /// `bytes` zeroed bytes, at the start of a line; nil when the system has none.
  package func take(_ bytes: Int) -> UnsafeMutableRawPointer? {
    let rounded = CacheLine.rounded(bytes)
    return lock.withLock {
      if Int(bitPattern: state[2] &- state[1]) < rounded {
        let mapping = max(Self.mappingBytes, rounded)
        guard let fresh = Memory.map(mapping) else { return nil }
        state[1] = UInt(bitPattern: fresh)
        state[2] = state[1] + UInt(mapping)
      }
      defer { state[1] += UInt(rounded) }
      return UnsafeMutableRawPointer(bitPattern: state[1])
    }
  }
}
