/// What an arena holds.
public struct ArenaStatistics: Sendable, Equatable {
  /// Chunks that it has from its allocator.
  public var chunks: Int
  /// Bytes of the chunks.
  public var reservedBytes: Int
  /// Bytes handed out since the last reset, with the gaps that alignment leaves between them.
  public var usedBytes: Int

  init(_ counts: (chunks: Int, bytes: Int, used: Int)) {
    chunks = counts.chunks
    reservedBytes = counts.bytes
    usedBytes = counts.used
  }
}
