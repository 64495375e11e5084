import Synchronization

/// The allocator that code uses that has no preference of its own: the pool, unless the process chose another.
///
/// It can be swapped at any time. Whoever holds blocks keeps the allocator that they came from: `Buffer` does.
public enum DefaultAllocator {
  private static let chosen = Mutex<any BlockAllocator>(PoolAllocator())

  /// Thread-safe.
  public static var current: any BlockAllocator {
    get { chosen.withLock { $0 } }
    set { chosen.withLock { $0 = newValue } }
  }
}
