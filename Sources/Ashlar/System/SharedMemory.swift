import Synchronization

/// A 64-bit word that several threads touch, and only as an atomic.
///
/// Whoever makes one guarantees that `address` is 8-byte aligned, stays mapped for as long as the word is
/// used, and is never touched by plain loads or stores meanwhile.
package struct SharedWord {
  package let address: UnsafeMutableRawPointer

  @inline(__always)
  package init(_ address: UnsafeMutableRawPointer) { self.address = address }

  @inline(__always)
  package init(_ words: UnsafeMutablePointer<UInt>) { self.address = UnsafeMutableRawPointer(words) }

  @inline(__always)
  fileprivate var atomic: UnsafeMutablePointer<Atomic<UInt>> {
    address.assumingMemoryBound(to: Atomic<UInt>.self)
  }
}

/// A 16-byte aligned pair of words that is read and swapped as one.
package struct SharedPair {
  package let address: UnsafeMutableRawPointer

  @inline(__always)
  package init(_ address: UnsafeMutableRawPointer) { self.address = address }
}

/// The seam between the lock-free code and the memory it runs on.
///
/// Everything that two threads may touch without a lock goes through these functions, so that the types that
/// ship can also run on a stepping memory that chooses the interleaving. `HardwareMemory` is what ships; its
/// functions are inlined to the bare instruction.
package protocol SharedMemory {
  static func load(_ word: SharedWord) -> UInt
  static func loadAcquiring(_ word: SharedWord) -> UInt
  static func store(_ value: UInt, to word: SharedWord)
  static func storeReleasing(_ value: UInt, to word: SharedWord)
  /// Acquires and releases.
  static func exchange(_ value: UInt, in word: SharedWord) -> UInt
  /// Acquires and releases. Answers the value found; the swap took place if that is `expected`.
  static func compareExchange(_ word: SharedWord, expected: UInt, desired: UInt) -> UInt
  /// Acquires and releases. Answers the value before.
  @discardableResult
  static func add(_ value: UInt, to word: SharedWord) -> UInt
  /// Acquires and releases. Answers the value before.
  @discardableResult
  static func or(_ bits: UInt, into word: SharedWord) -> UInt
  /// Acquires and releases. Answers the value before.
  @discardableResult
  static func and(_ bits: UInt, into word: SharedWord) -> UInt
  /// Acquires. Both words are of one moment.
  static func loadPair(_ pair: SharedPair) -> (first: UInt, second: UInt)
  /// Acquires and releases. Answers nil when the swap took place, otherwise the pair found.
  static func compareExchangePair(
    _ pair: SharedPair, expected: (first: UInt, second: UInt), desired: (first: UInt, second: UInt)
  ) -> (first: UInt, second: UInt)?
  /// Called between two attempts of a loop that waits for another thread.
  static func pause()
}

/// The machine's own memory.
package enum HardwareMemory: SharedMemory {
  @inline(__always)
  package static func load(_ word: SharedWord) -> UInt { word.atomic.pointee.load(ordering: .relaxed) }

  @inline(__always)
  package static func loadAcquiring(_ word: SharedWord) -> UInt { word.atomic.pointee.load(ordering: .acquiring) }

  @inline(__always)
  package static func store(_ value: UInt, to word: SharedWord) { word.atomic.pointee.store(value, ordering: .relaxed) }

  @inline(__always)
  package static func storeReleasing(_ value: UInt, to word: SharedWord) {
    word.atomic.pointee.store(value, ordering: .releasing)
  }

  @inline(__always)
  package static func exchange(_ value: UInt, in word: SharedWord) -> UInt {
    word.atomic.pointee.exchange(value, ordering: .acquiringAndReleasing)
  }

  @inline(__always)
  package static func compareExchange(_ word: SharedWord, expected: UInt, desired: UInt) -> UInt {
    word.atomic.pointee.compareExchange(expected: expected, desired: desired, ordering: .acquiringAndReleasing).original
  }

  @inline(__always) @discardableResult
  package static func add(_ value: UInt, to word: SharedWord) -> UInt {
    word.atomic.pointee.wrappingAdd(value, ordering: .acquiringAndReleasing).oldValue
  }

  @inline(__always) @discardableResult
  package static func or(_ bits: UInt, into word: SharedWord) -> UInt {
    word.atomic.pointee.bitwiseOr(bits, ordering: .acquiringAndReleasing).oldValue
  }

  @inline(__always) @discardableResult
  package static func and(_ bits: UInt, into word: SharedWord) -> UInt {
    word.atomic.pointee.bitwiseAnd(bits, ordering: .acquiringAndReleasing).oldValue
  }

  @inline(__always)
  package static func pause() { System.yield() }
}

// A 16-byte compare-and-swap where the target has one; a lock in the pair's own neighbourhood where it has not.
// Build with ASHLAR_LOCKED_PAIRS to run the second form on a machine that has both.
#if _hasAtomicBitWidth(_128) && !ASHLAR_LOCKED_PAIRS
extension HardwareMemory {
  @inline(__always)
  private static func atomic(_ pair: SharedPair) -> UnsafeMutablePointer<Atomic<WordPair>> {
    pair.address.assumingMemoryBound(to: Atomic<WordPair>.self)
  }

  @inline(__always)
  package static func loadPair(_ pair: SharedPair) -> (first: UInt, second: UInt) {
    let value = atomic(pair).pointee.load(ordering: .acquiring)
    return (value.first, value.second)
  }

  @inline(__always)
  package static func compareExchangePair(
    _ pair: SharedPair, expected: (first: UInt, second: UInt), desired: (first: UInt, second: UInt)
  ) -> (first: UInt, second: UInt)? {
    let (exchanged, original) = atomic(pair).pointee.compareExchange(
      expected: WordPair(first: expected.first, second: expected.second),
      desired: WordPair(first: desired.first, second: desired.second),
      ordering: .acquiringAndReleasing)
    return exchanged ? nil : (original.first, original.second)
  }

  /// The lock that guards a pair; nil where none is needed.
  package static func lock(of pair: SharedPair) -> Lock? { nil }
}
#else
extension HardwareMemory {
  /// The lock that guards a pair: the 16 bytes behind it, which `SharedPair.bytes` counts in.
  package static func lock(of pair: SharedPair) -> Lock? { Lock(SharedWord(pair.address + 16)) }

  private static func locked<Result>(_ pair: SharedPair, _ body: (UnsafeMutablePointer<UInt>) -> Result) -> Result {
    let lock = Lock(SharedWord(pair.address + 16))
    return lock.withLock { body(pair.address.assumingMemoryBound(to: UInt.self)) }
  }

  package static func loadPair(_ pair: SharedPair) -> (first: UInt, second: UInt) {
    locked(pair) { ($0[0], $0[1]) }
  }

  package static func compareExchangePair(
    _ pair: SharedPair, expected: (first: UInt, second: UInt), desired: (first: UInt, second: UInt)
  ) -> (first: UInt, second: UInt)? {
    locked(pair) { words in
      guard words[0] == expected.first, words[1] == expected.second else { return (words[0], words[1]) }
      words[0] = desired.first
      words[1] = desired.second
      return nil
    }
  }
}
#endif

extension SharedPair {
  /// Bytes that a pair takes, a cache line of its own included so that two pairs never share one.
  package static var bytes: Int { 64 }
}
