/// A filled block on its way to another thread.
struct Parcel: Sendable {
  let block: UInt
  let size: Int
  let seed: UInt64
}

/// Pigeon-holes that threads leave parcels in.
final class Exchange: Sendable {
  private let slots = Guarded([Parcel?](repeating: nil, count: 1024))

  /// Leaves a parcel and takes the one that was there.
  func swap(_ parcel: Parcel?, _ index: Int) -> Parcel? {
    slots.withLock { slots in
      defer { slots[index] = parcel }
      return slots[index]
    }
  }

  /// Takes every parcel that is left.
  func takeAll() -> [Parcel] { (0..<1024).compactMap { swap(nil, $0) } }
}
