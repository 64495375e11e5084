/// How much memory a program may ask for, for the sake of the programs that could be run meanwhile: making a block of 512 MiB
/// known to AddressSanitizer takes longer than a hundred of them, and so does touching 8 MiB. A request beyond is left out.
struct MediumBudget {
  /// Of the medium level.
  private static let limit = 32 << 20
  /// Of blocks that the allocator writes, to zero them or to move their contents.
  private static let writtenLimit = 4 << 20
  private var spent = 0
  private var written = 0

  /// Whether a block of this size may be asked for. The first one may have any size, unless the allocator writes it.
  mutating func allows(_ size: Int, written isWritten: Bool = false) -> Bool {
    let counts = isWritten && size > 64 << 10
    if counts, size > Self.writtenLimit - written { return false }
    if size > 1 << 20, size <= 512 << 20 {
      if spent > 0, spent + size > Self.limit { return false }
      spent += size
    }
    if counts { written += size }
    return true
  }
}
