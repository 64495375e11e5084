import Ashlar
import Glibc

/// Small mappings of executions that are over, for the next: to touch fresh pages takes longer than to zero these.
enum SpareMappings {
  private static let bySize = Guarded<[Int: [UnsafeMutableRawPointer]]>([:])
  private static let largest = 256 << 10
  private static let limit = 8

  /// Zeroed, as the system's are.
  static func take(_ bytes: Int) -> UnsafeMutableRawPointer? { bySize.withLock { $0[bytes]?.popLast() } }

  /// False when it is not kept.
  static func keep(_ mapping: UnsafeMutableRawPointer, _ bytes: Int) -> Bool {
    guard bytes <= largest else { return false }
    return bySize.withLock { spare in
      guard spare[bytes, default: []].count < limit else { return false }
      // An arena tells AddressSanitizer what nobody may touch.
      let start = UInt(bitPattern: mapping)
      MemoryMarks().permit(start..<start + UInt(bytes))
      memset(mapping, 0, bytes)
      spare[bytes, default: []].append(mapping)
      return true
    }
  }
}
