import Ashlar

/// What is tested: one interface of an allocator, as the oracle calls it.
public protocol Subject: Sendable {
  var name: String { get }
  /// Whether blocks aligned above 16 can be had zeroed.
  var zeroesAligned: Bool { get }
  /// Nil when memory is out.
  func allocate(size: Int, alignment: Int, zeroed: Bool) -> UnsafeMutableRawPointer?
  /// Nil, and the block as it was, when memory is out.
  func reallocate(_ block: UnsafeMutableRawPointer, size: Int) -> UnsafeMutableRawPointer?
  func free(_ block: UnsafeMutableRawPointer?)
  func free(_ block: UnsafeMutableRawPointer?, size: Int)
  func usableSize(_ block: UnsafeMutableRawPointer?) -> Int
}

/// Ashlar through its Swift interface.
public struct SwiftSubject: Subject {
  private let pool = PoolAllocator()

  public init() {}
  public var name: String { "Swift interface" }
  public var zeroesAligned: Bool { true }

  public func allocate(size: Int, alignment: Int, zeroed: Bool) -> UnsafeMutableRawPointer? {
    pool.allocateIfPossible(size: size, alignment: alignment, zeroed: zeroed)
  }
  public func reallocate(_ block: UnsafeMutableRawPointer, size: Int) -> UnsafeMutableRawPointer? {
    try? pool.reallocate(block, size: size)
  }
  public func free(_ block: UnsafeMutableRawPointer?) { pool.deallocate(block) }
  public func free(_ block: UnsafeMutableRawPointer?, size: Int) { pool.deallocate(block, size: size) }
  public func usableSize(_ block: UnsafeMutableRawPointer?) -> Int { pool.usableSize(of: block) }
}

/// Ashlar through its C interface.
public struct CSubject: Subject {
  public init() {}
  public var name: String { "C interface" }
  public var zeroesAligned: Bool { false }

  public func allocate(size: Int, alignment: Int, zeroed: Bool) -> UnsafeMutableRawPointer? {
    let bytes = UInt(bitPattern: size)
    if zeroed, alignment <= 16 { return ashlarCalloc(1, bytes) }
    return alignment <= 16 ? ashlarMalloc(bytes) : ashlarAlignedAlloc(UInt(bitPattern: alignment), bytes)
  }
  public func reallocate(_ block: UnsafeMutableRawPointer, size: Int) -> UnsafeMutableRawPointer? {
    ashlarRealloc(block, UInt(bitPattern: size))
  }
  public func free(_ block: UnsafeMutableRawPointer?) { ashlarFree(block) }
  public func free(_ block: UnsafeMutableRawPointer?, size: Int) { ashlarFreeSized(block, UInt(bitPattern: size)) }
  public func usableSize(_ block: UnsafeMutableRawPointer?) -> Int { Int(bitPattern: ashlarMallocUsableSize(block)) }
}
