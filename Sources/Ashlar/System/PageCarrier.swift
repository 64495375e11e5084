/// Brings the contents of large blocks from one place to another by their pages, which nobody copies.
package enum PageCarrier {
  /// Less is copied. It takes about as long, and what was carried is a mapping of its own from then on, of which a process has 65,530.
  package static let leastBytes = 4 << 20
  /// Units that pages are carried to, 64 GiB from a region's beginning: a quarter of those mappings at most.
  package static let mostUnits = 65_536

  /// Brings whole pages to untouched ones. Both are the caller's alone. Answers whether all of them were carried: those that
  /// they leave read as zero then; otherwise they hold anything.
  package static func bring(_ bytes: Int, from old: UnsafeMutableRawPointer, to new: UnsafeMutableRawPointer) -> Bool {
    guard bytes >= leastBytes else { return copy(bytes, from: old, to: new) }
    if System.carry(old, bytes, to: new) { return true }
    // The system carries no more than one mapping at a time, and a block that has grown by being carried lies in several.
    let half = (bytes / 2).roundedUp(to: leastBytes)
    guard half < bytes else { return copy(bytes, from: old, to: new) }
    let isFirstCarried = bring(half, from: old, to: new)
    return bring(bytes - half, from: old + half, to: new + half) && isFirstCarried
  }

  private static func copy(_ bytes: Int, from old: UnsafeMutableRawPointer, to new: UnsafeMutableRawPointer) -> Bool {
    new.copyMemory(from: old, byteCount: bytes)
    return false
  }
}
