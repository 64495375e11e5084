import CAshlar

/// Mappings that the system refused to take back, which it may when a process has too many: each is tried again after
/// the next one that it takes. Their contents have been dropped meanwhile.
///
/// Thread-safe. Up to 64 are remembered; the address space of any more is lost.
package enum PendingUnmaps {
  // Words: lock, count, then an address and a length each.
  private static var words: UnsafeMutablePointer<UInt> { ashlar_pending_unmaps().assumingMemoryBound(to: UInt.self) }
  private static let capacity = Int(ASHLAR_PENDING_UNMAPS)
  private static var count: SharedWord { SharedWord(words + 1) }

  package static var lock: Lock<HardwareMemory> { Lock(SharedWord(words)) }

  static func add(_ address: UnsafeMutableRawPointer, _ bytes: Int) {
    lock.withLock {
      let index = Int(HardwareMemory.load(count))
      guard index < capacity else { return }
      words[2 + 2 * index] = UInt(bitPattern: address)
      words[3 + 2 * index] = UInt(bytes)
      HardwareMemory.store(UInt(index + 1), to: count)
    }
  }

  /// Tries them again, last first, until one is refused.
  static func retry(_ unmap: (UnsafeMutableRawPointer, Int) -> Bool) {
    guard HardwareMemory.load(count) > 0 else { return }
    lock.withLock {
      while HardwareMemory.load(count) > 0 {
        let index = Int(HardwareMemory.load(count)) - 1
        let address = UnsafeMutableRawPointer(bitPattern: words[2 + 2 * index]).unsafelyUnwrapped
        guard unmap(address, Int(words[3 + 2 * index])) else { return }
        HardwareMemory.store(UInt(index), to: count)
      }
    }
  }
}
