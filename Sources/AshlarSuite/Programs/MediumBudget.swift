/// How much of the medium level a program may ask for, for the sake of the programs that could be run meanwhile: making a
/// block of 512 MiB known to AddressSanitizer takes longer than a hundred of them. A request beyond is left out.
struct MediumBudget {
  private static let limit = 32 << 20
  /// Of blocks that the allocator writes, to zero them or to move their contents.
  private static let writtenLimit = 8 << 20
  private var spent = 0
  private var written = 0

  /// Whether a block of this size may be asked for. The first one may have any size, unless the allocator writes it.
  mutating func allows(_ size: Int, written isWritten: Bool = false) -> Bool {
    guard size > 1 << 20, size <= 512 << 20 || isWritten else { return true }
    if spent > 0, spent + size > Self.limit { return false }
    if isWritten, written + size > Self.writtenLimit { return false }
    spent += size
    if isWritten { written += size }
    return true
  }
}
