import CAshlar
import Synchronization

/// The machine's own memory.
@usableFromInline
package enum HardwareMemory: SharedMemory {
  // An ordering is a constant wherever these are inlined, and so the switches are gone there.

  @inline(__always)
  private static func atomic(_ word: SharedWord) -> UnsafeMutablePointer<Atomic<UInt>> {
    word.address.assumingMemoryBound(to: Atomic<UInt>.self)
  }

  @inline(__always)
  package static func load(_ word: SharedWord, _ order: MemoryOrder, at line: SourceLine) -> UInt {
    switch order {
    case .relaxed, .releasing: atomic(word).pointee.load(ordering: .relaxed)
    case .acquiring, .acquiringAndReleasing: atomic(word).pointee.load(ordering: .acquiring)
    }
  }

  @inline(__always)
  package static func store(_ value: UInt, to word: SharedWord, _ order: MemoryOrder, at line: SourceLine) {
    switch order {
    case .relaxed, .acquiring: atomic(word).pointee.store(value, ordering: .relaxed)
    case .releasing, .acquiringAndReleasing: atomic(word).pointee.store(value, ordering: .releasing)
    }
  }

  @inline(__always)
  package static func exchange(_ value: UInt, in word: SharedWord, _ order: MemoryOrder, at line: SourceLine) -> UInt {
    switch order {
    case .relaxed: atomic(word).pointee.exchange(value, ordering: .relaxed)
    case .acquiring: atomic(word).pointee.exchange(value, ordering: .acquiring)
    case .releasing: atomic(word).pointee.exchange(value, ordering: .releasing)
    case .acquiringAndReleasing: atomic(word).pointee.exchange(value, ordering: .acquiringAndReleasing)
    }
  }

  @inline(__always)
  package static func compareExchange(
    _ word: SharedWord, expected: UInt, desired: UInt, _ order: MemoryOrder, at line: SourceLine
  ) -> UInt {
    switch order {
    case .relaxed:
      atomic(word).pointee.compareExchange(expected: expected, desired: desired, ordering: .relaxed).original
    case .acquiring:
      atomic(word).pointee.compareExchange(expected: expected, desired: desired, ordering: .acquiring).original
    case .releasing:
      atomic(word).pointee.compareExchange(expected: expected, desired: desired, ordering: .releasing).original
    case .acquiringAndReleasing:
      atomic(word).pointee.compareExchange(
        expected: expected, desired: desired, ordering: .acquiringAndReleasing).original
    }
  }

  @inline(__always)
  package static func update(
    _ word: SharedWord, _ update: Update, _ operand: UInt, _ order: MemoryOrder, at line: SourceLine
  ) -> UInt {
    switch (update, order) {
    case (.add, .relaxed): atomic(word).pointee.wrappingAdd(operand, ordering: .relaxed).oldValue
    case (.add, .acquiring): atomic(word).pointee.wrappingAdd(operand, ordering: .acquiring).oldValue
    case (.add, .releasing): atomic(word).pointee.wrappingAdd(operand, ordering: .releasing).oldValue
    case (.add, .acquiringAndReleasing):
      atomic(word).pointee.wrappingAdd(operand, ordering: .acquiringAndReleasing).oldValue
    case (.or, .relaxed): atomic(word).pointee.bitwiseOr(operand, ordering: .relaxed).oldValue
    case (.or, .acquiring): atomic(word).pointee.bitwiseOr(operand, ordering: .acquiring).oldValue
    case (.or, .releasing): atomic(word).pointee.bitwiseOr(operand, ordering: .releasing).oldValue
    case (.or, .acquiringAndReleasing):
      atomic(word).pointee.bitwiseOr(operand, ordering: .acquiringAndReleasing).oldValue
    case (.and, .relaxed): atomic(word).pointee.bitwiseAnd(operand, ordering: .relaxed).oldValue
    case (.and, .acquiring): atomic(word).pointee.bitwiseAnd(operand, ordering: .acquiring).oldValue
    case (.and, .releasing): atomic(word).pointee.bitwiseAnd(operand, ordering: .releasing).oldValue
    case (.and, .acquiringAndReleasing):
      atomic(word).pointee.bitwiseAnd(operand, ordering: .acquiringAndReleasing).oldValue
    }
  }

  @inline(__always)
  package static func addReportingCarry(_ value: UInt, to word: SharedWord, at line: SourceLine) -> Bool {
    ashlar_add_carry(word.address, value) != 0
  }

  @inline(__always)
  package static func copyWords(_ words: SharedWord, to place: SharedWord, _ count: Int, at line: SourceLine) {
    ashlar_copy_words(words.address, place.address, UInt(bitPattern: count))
  }

  @inline(__always)
  package static func isBelow(_ value: UInt, _ word: SharedWord, at line: SourceLine) -> Bool {
    ashlar_is_below(value, word.address) != 0
  }

  // MARK: Shorts and bytes

  // Plain instructions: they can't be torn, and the code around reads it once. As relaxed atomics they would neither
  // be zero-extended by the load itself nor be changed in place.

  @inline(__always)
  package static func load(_ short: SharedShort, at line: SourceLine) -> UInt16 { short.address.pointee }

  @inline(__always)
  package static func store(_ value: UInt16, to short: SharedShort, at line: SourceLine) { short.address.pointee = value }

  @inline(__always)
  package static func load(_ byte: SharedByte, at line: SourceLine) -> UInt8 { byte.address.pointee }

  @inline(__always)
  package static func store(_ value: UInt8, to byte: SharedByte, at line: SourceLine) { byte.address.pointee = value }

  @inline(__always)
  package static func addReportingCarry(_ value: UInt8, to byte: SharedByte, at line: SourceLine) -> Bool {
    ashlar_add_byte_carry(byte.address, value) != 0
  }

  @inline(__always)
  package static func clear(_ bits: UInt8, in byte: SharedByte, at line: SourceLine) { ashlar_clear_bits(byte.address, bits) }

  @inline(__always)
  package static func compareExchange(
    _ byte: SharedByte, expected: UInt8, desired: UInt8, at line: SourceLine
  ) -> Bool {
    UnsafeMutableRawPointer(byte.address).assumingMemoryBound(to: Atomic<UInt8>.self).pointee
      .compareExchange(expected: expected, desired: desired, ordering: .relaxed).exchanged
  }

  // MARK: Plain memory

  @inlinable @inline(__always)
  package static func willRead(_ address: UnsafeRawPointer, _ bytes: Int, at line: SourceLine) {}

  @inlinable @inline(__always)
  package static func willWrite(_ address: UnsafeMutableRawPointer, _ bytes: Int, at line: SourceLine) {}

  // MARK: Locks and waiting

  @inline(__always)
  package static func acquire(_ lock: SharedWord, at line: SourceLine) { FutexLock<Self>(lock).acquire() }

  @inline(__always)
  package static func tryAcquire(_ lock: SharedWord, at line: SourceLine) -> Bool { FutexLock<Self>(lock).tryAcquire() }

  @inline(__always)
  package static func release(_ lock: SharedWord, at line: SourceLine) { FutexLock<Self>(lock).release() }

  package static var spins: Int { 64 }

  // The low half of a word comes first.
  package static func wait(_ word: SharedWord, while value: UInt, at line: SourceLine) {
    ashlar_os_wait(word.address, UInt32(truncatingIfNeeded: value))
  }

  package static func wake(_ word: SharedWord, at line: SourceLine) { ashlar_os_wake(word.address) }

  @inline(__always)
  package static func pause(at line: SourceLine) { System.yield() }

  @inline(__always)
  package static func relax(at line: SourceLine) { ashlar_relax() }

  // MARK: Mappings

  package static func map(_ bytes: Int) -> UnsafeMutableRawPointer? { System.map(bytes) }

  package static func unmap(_ address: UnsafeMutableRawPointer, _ bytes: Int) { System.unmap(address, bytes) }

  package static func purge(_ address: UnsafeMutableRawPointer, _ bytes: Int) -> Bool { System.purge(address, bytes) }

  // MARK: The calling thread

  @inline(__always)
  package static var cache: UnsafeMutableRawPointer {
    get { ashlar_cache().unsafelyUnwrapped }
    set { ashlar_set_cache(newValue) }
  }

  package static var hasExited: Bool {
    get { ashlar_exited() }
    set { ashlar_set_exited(newValue) }
  }

  package static func watchThreadExit(_ cache: UnsafeMutableRawPointer) -> Bool { ashlar_watch_thread_exit(cache) != 0 }

  // MARK: The process

  @inline(__always)
  package static var globals: UnsafeMutablePointer<ashlar_globals> { ashlar_the_globals().unsafelyUnwrapped }

  package static var milliseconds: UInt { System.milliseconds }
  package static var random: UInt { System.random }
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
  package static func loadPair(_ pair: SharedPair, _ order: MemoryOrder, at line: SourceLine) -> (first: UInt, second: UInt) {
    let value =
      switch order {
      case .relaxed, .releasing: atomic(pair).pointee.load(ordering: .relaxed)
      case .acquiring, .acquiringAndReleasing: atomic(pair).pointee.load(ordering: .acquiring)
      }
    return (value.first, value.second)
  }

  @inline(__always)
  package static func compareExchangePair(
    _ pair: SharedPair, expected: (first: UInt, second: UInt), desired: (first: UInt, second: UInt), _ order: MemoryOrder,
    at line: SourceLine
  ) -> (first: UInt, second: UInt)? {
    let (pair, expected) = (atomic(pair), WordPair(first: expected.first, second: expected.second))
    let desired = WordPair(first: desired.first, second: desired.second)
    let (exchanged, original) =
      switch order {
      case .relaxed: pair.pointee.compareExchange(expected: expected, desired: desired, ordering: .relaxed)
      case .acquiring: pair.pointee.compareExchange(expected: expected, desired: desired, ordering: .acquiring)
      case .releasing: pair.pointee.compareExchange(expected: expected, desired: desired, ordering: .releasing)
      case .acquiringAndReleasing:
        pair.pointee.compareExchange(expected: expected, desired: desired, ordering: .acquiringAndReleasing)
      }
    return exchanged ? nil : (original.first, original.second)
  }
}
#else
extension HardwareMemory {
  /// The lock that guards a pair: the 16 bytes behind it, which `SharedPair.bytes` counts in.
  package static func lock(of pair: SharedPair) -> Lock<HardwareMemory> { Lock(SharedWord(pair.address + 16)) }

  private static func locked<Result>(_ pair: SharedPair, _ body: (UnsafeMutablePointer<UInt>) -> Result) -> Result {
    lock(of: pair).withLock { body(pair.address.assumingMemoryBound(to: UInt.self)) }
  }

  package static func loadPair(_ pair: SharedPair, _ order: MemoryOrder, at line: SourceLine) -> (first: UInt, second: UInt) {
    locked(pair) { ($0[0], $0[1]) }
  }

  package static func compareExchangePair(
    _ pair: SharedPair, expected: (first: UInt, second: UInt), desired: (first: UInt, second: UInt), _ order: MemoryOrder,
    at line: SourceLine
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
