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
  /// Gives back to the system what can be.
  func trim()
  /// What a block of this size is aligned to when nothing is asked.
  func leastAlignment(size: Int) -> Int
  // What only Ashlar has.
  var heapIsSound: Bool { get }
  func setGuards(_ guards: PoolAllocator.Guards)
  func setTracking(_ on: Bool)
}

extension Subject {
  public var zeroesAligned: Bool { false }
  public func trim() {}
  public var heapIsSound: Bool { PoolAllocator().checkInvariants() }
  public func setGuards(_ guards: PoolAllocator.Guards) { PoolAllocator.guards = guards }
  public func setTracking(_ on: Bool) { PoolAllocator.isTracking = on }
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
  public func trim() { pool.trim() }
  public func leastAlignment(size: Int) -> Int { 16 }
}

/// An allocator through its C functions: Ashlar's, unless others are given.
///
/// Asks only what the standards or its own documentation let it ask.
public struct CSubject: Subject {
  private let functions: MallocFunctions

  public init(_ functions: MallocFunctions = .ashlar) { self.functions = functions }
  public var name: String { "C interface" }

  public func allocate(size: Int, alignment: Int, zeroed: Bool) -> UnsafeMutableRawPointer? {
    if alignment <= leastAlignment(size: size) {
      let block = zeroed ? functions.calloc(1, size) : functions.malloc(size)
      // Nothing may be given for nothing (C17 7.22.3); one byte is something.
      return block == nil && size == 0 ? functions.malloc(1) : block
    }
    let block = aligned(size, alignment)
    // Oracles ask for no more than this zeroed.
    if zeroed, alignment <= 16, size > 0 { block?.initializeMemory(as: UInt8.self, repeating: 0, count: size) }
    return block
  }

  // C11 has sizes that are multiples of the alignment only, POSIX alignments of a pointer's size and more.
  private func aligned(_ size: Int, _ alignment: Int) -> UnsafeMutableRawPointer? {
    if size % alignment == 0, size > 0, let allocate = functions.alignedAlloc { return allocate(alignment, size) }
    guard let allocate = functions.posixMemalign else { return nil }
    var block: UnsafeMutableRawPointer?
    let size = functions.promisesMore ? size : max(size, 1)
    return allocate(&block, max(alignment, MemoryLayout<UInt>.size), size) == 0 ? block : nil
  }

  // A size of 0 frees the block in some libraries (C17 7.22.3.5), and may do anything at all since C23.
  public func reallocate(_ block: UnsafeMutableRawPointer, size: Int) -> UnsafeMutableRawPointer? {
    functions.realloc(block, functions.promisesMore ? size : max(size, 1))
  }
  public func free(_ block: UnsafeMutableRawPointer?) { functions.free(block) }
  public func free(_ block: UnsafeMutableRawPointer?, size: Int) {
    // C++'s sized delete is for what its new gave.
    if functions.sized?.isOfC == true { functions.sizedFree(block, size) } else { functions.free(block) }
  }
  public func usableSize(_ block: UnsafeMutableRawPointer?) -> Int { functions.usableSize?(block) ?? .max }
  public func trim() { functions.trim?() }
  public func leastAlignment(size: Int) -> Int { functions.leastAlignment(size: size) }
  public var heapIsSound: Bool { ashlarCheckInvariants() == 1 }
  public func setGuards(_ guards: PoolAllocator.Guards) { ashlarGuard(UInt32(guards.canaries), UInt32(guards.pages)) }
  public func setTracking(_ on: Bool) { ashlarTrack(on ? 1 : 0) }
}
