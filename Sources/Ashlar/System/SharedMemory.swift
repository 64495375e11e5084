import CAshlar

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
}

/// A 16-byte aligned pair of words that is read and swapped as one.
package struct SharedPair {
  package let address: UnsafeMutableRawPointer

  @inline(__always)
  package init(_ address: UnsafeMutableRawPointer) { self.address = address }

  /// Bytes that a pair takes, a cache line of its own included so that two pairs never share one.
  package static var bytes: Int { CacheLine.bytes }

  /// Of which the pair and what guards it take these, and the rest is free for words that belong to it.
  package static var usedBytes: Int { 32 }
}

/// A word of 16 bits that several threads touch, and only through the seam.
package struct SharedShort {
  package let address: UnsafeMutablePointer<UInt16>

  @inline(__always)
  package init(_ address: UnsafeMutablePointer<UInt16>) { self.address = address }
}

/// A byte that several threads touch, and only through the seam.
package struct SharedByte {
  package let address: UnsafeMutablePointer<UInt8>

  @inline(__always)
  package init(_ address: UnsafeMutablePointer<UInt8>) { self.address = address }
}

/// How strongly an access orders what stands around it in the program (C11).
package enum MemoryOrder { case relaxed, acquiring, releasing, acquiringAndReleasing }

/// What is done to a word in one atomic step: wrapping addition, bitwise or, bitwise and.
package enum Update { case add, or, and }

/// The line of source that takes a step: how an explorer names it.
@usableFromInline
package struct SourceLine {
  @usableFromInline package let file: StaticString
  @usableFromInline package let line: UInt32

  @inlinable @inline(__always)
  package init(_ file: StaticString, _ line: UInt32) {
    self.file = file
    self.line = line
  }
}

/// The seam between the allocator and the memory it runs on.
///
/// All that threads have to do with each other goes through these functions: words and bytes that are shared without a
/// lock, plain memory that a lock or an owner guards, locks and waiting, and what belongs to the calling thread. So what
/// ships can also run on a stepping memory that chooses the interleaving and looks for races. `HardwareMemory` is what
/// ships; its functions are inlined to the bare instruction.
///
/// Code calls the short forms below, which pass on the line that they are called from.
package protocol SharedMemory: PlainMemory {
  // MARK: Words

  static func load(_ word: SharedWord, _ order: MemoryOrder, at line: SourceLine) -> UInt
  static func store(_ value: UInt, to word: SharedWord, _ order: MemoryOrder, at line: SourceLine)
  static func exchange(_ value: UInt, in word: SharedWord, _ order: MemoryOrder, at line: SourceLine) -> UInt
  /// Answers the value found; the swap took place if that is `expected`.
  static func compareExchange(
    _ word: SharedWord, expected: UInt, desired: UInt, _ order: MemoryOrder, at line: SourceLine
  ) -> UInt
  /// Answers the value before.
  static func update(
    _ word: SharedWord, _ update: Update, _ operand: UInt, _ order: MemoryOrder, at line: SourceLine
  ) -> UInt
  /// Adds to a word that one thread writes and others only read; true when there is a carry. A relaxed load and a relaxed
  /// store, not one atomic step.
  static func addReportingCarry(_ value: UInt, to word: SharedWord, at line: SourceLine) -> Bool
  /// Copies words, which may lie within each other when they move down: each as a relaxed load and a relaxed store, in no
  /// order.
  static func copyWords(_ words: SharedWord, to place: SharedWord, _ count: Int, at line: SourceLine)
  /// Whether a value is below a word, read relaxed.
  static func isBelow(_ value: UInt, _ word: SharedWord, at line: SourceLine) -> Bool

  // MARK: Pairs

  /// Both words are of one moment.
  static func loadPair(_ pair: SharedPair, _ order: MemoryOrder, at line: SourceLine) -> (first: UInt, second: UInt)
  /// Answers nil when the swap took place, otherwise the pair found.
  static func compareExchangePair(
    _ pair: SharedPair, expected: (first: UInt, second: UInt), desired: (first: UInt, second: UInt), _ order: MemoryOrder,
    at line: SourceLine
  ) -> (first: UInt, second: UInt)?

  // MARK: Shorts and bytes, relaxed

  static func load(_ short: SharedShort, at line: SourceLine) -> UInt16
  static func store(_ value: UInt16, to short: SharedShort, at line: SourceLine)
  static func load(_ byte: SharedByte, at line: SourceLine) -> UInt8
  static func store(_ value: UInt8, to byte: SharedByte, at line: SourceLine)
  /// Adds to a byte; true when there is a carry. A load and a store, not one atomic step.
  static func addReportingCarry(_ value: UInt8, to byte: SharedByte, at line: SourceLine) -> Bool
  /// Clears bits of a byte. A load and a store, not one atomic step.
  static func clear(_ bits: UInt8, in byte: SharedByte, at line: SourceLine)
  /// One atomic step. False, and no change, when it was not `expected`.
  static func compareExchange(_ byte: SharedByte, expected: UInt8, desired: UInt8, at line: SourceLine) -> Bool

  // MARK: Locks and waiting

  /// The word of a lock is zero at first, and is used as nothing but this lock.
  static func acquire(_ lock: SharedWord, at line: SourceLine)
  static func tryAcquire(_ lock: SharedWord, at line: SourceLine) -> Bool
  static func release(_ lock: SharedWord, at line: SourceLine)
  /// Attempts at a lock before its thread sleeps.
  static var spins: Int { get }
  /// Sleeps unless the word's low 32 bits are others by then; may end for no reason.
  static func wait(_ word: SharedWord, while value: UInt, at line: SourceLine)
  /// Wakes one thread that sleeps at the word.
  static func wake(_ word: SharedWord, at line: SourceLine)
  /// Called between two attempts of a loop that waits for another thread.
  static func pause(at line: SourceLine)
  /// Called between two attempts of a loop that waits for another thread and expects it within a few instructions.
  static func relax(at line: SourceLine)

  // MARK: Mappings whose end another thread may meet

  /// Fresh zeroed memory; nil when the system refuses.
  static func map(_ bytes: Int) -> UnsafeMutableRawPointer?
  static func unmap(_ address: UnsafeMutableRawPointer, _ bytes: Int)
  /// Drops the contents of whole pages; false when the system refuses.
  static func purge(_ address: UnsafeMutableRawPointer, _ bytes: Int) -> Bool

  // MARK: The calling thread

  /// Its cache; the empty one when it has none.
  static var cache: UnsafeMutableRawPointer { get set }
  /// Whether it has given its cache back at its exit, and must not get another.
  static var hasExited: Bool { get set }
  /// Makes sure that the cache is brought home when the thread exits; false when nobody would do it.
  static func watchThreadExit(_ cache: UnsafeMutableRawPointer) -> Bool

  // MARK: The process

  /// The words that the hot path reads.
  static var globals: UnsafeMutablePointer<ashlar_globals> { get }
  /// Of a clock that never goes back, a few milliseconds exact.
  static var milliseconds: UInt { get }
  /// A word that differs from process to process.
  static var random: UInt { get }
}

// MARK: The short forms

extension SharedMemory {
  @inline(__always)
  package static func load(_ word: SharedWord, file: StaticString = #fileID, line: UInt32 = #line) -> UInt {
    load(word, .relaxed, at: SourceLine(file, line))
  }

  @inline(__always)
  package static func loadAcquiring(_ word: SharedWord, file: StaticString = #fileID, line: UInt32 = #line) -> UInt {
    load(word, .acquiring, at: SourceLine(file, line))
  }

  @inline(__always)
  package static func store(
    _ value: UInt, to word: SharedWord, file: StaticString = #fileID, line: UInt32 = #line
  ) { store(value, to: word, .relaxed, at: SourceLine(file, line)) }

  @inline(__always)
  package static func storeReleasing(
    _ value: UInt, to word: SharedWord, file: StaticString = #fileID, line: UInt32 = #line
  ) { store(value, to: word, .releasing, at: SourceLine(file, line)) }

  @inline(__always)
  package static func exchange(
    _ value: UInt, in word: SharedWord, _ order: MemoryOrder = .acquiringAndReleasing,
    file: StaticString = #fileID, line: UInt32 = #line
  ) -> UInt { exchange(value, in: word, order, at: SourceLine(file, line)) }

  /// Answers the value found; the swap took place if that is `expected`.
  @inline(__always)
  package static func compareExchange(
    _ word: SharedWord, expected: UInt, desired: UInt, _ order: MemoryOrder = .acquiringAndReleasing,
    file: StaticString = #fileID, line: UInt32 = #line
  ) -> UInt { compareExchange(word, expected: expected, desired: desired, order, at: SourceLine(file, line)) }

  /// Answers the value before.
  @inline(__always) @discardableResult
  package static func add(
    _ value: UInt, to word: SharedWord, _ order: MemoryOrder = .acquiringAndReleasing,
    file: StaticString = #fileID, line: UInt32 = #line
  ) -> UInt { update(word, .add, value, order, at: SourceLine(file, line)) }

  /// Answers the value before.
  @inline(__always) @discardableResult
  package static func or(
    _ bits: UInt, into word: SharedWord, _ order: MemoryOrder = .acquiringAndReleasing,
    file: StaticString = #fileID, line: UInt32 = #line
  ) -> UInt { update(word, .or, bits, order, at: SourceLine(file, line)) }

  /// Answers the value before.
  @inline(__always) @discardableResult
  package static func and(
    _ bits: UInt, into word: SharedWord, _ order: MemoryOrder = .acquiringAndReleasing,
    file: StaticString = #fileID, line: UInt32 = #line
  ) -> UInt { update(word, .and, bits, order, at: SourceLine(file, line)) }

  @inline(__always) @discardableResult
  package static func addReportingCarry(
    _ value: UInt, to word: SharedWord, file: StaticString = #fileID, line: UInt32 = #line
  ) -> Bool { addReportingCarry(value, to: word, at: SourceLine(file, line)) }

  @inline(__always)
  package static func copyWords(
    _ words: SharedWord, to place: SharedWord, _ count: Int, file: StaticString = #fileID, line: UInt32 = #line
  ) {
    copyWords(words, to: place, count, at: SourceLine(file, line))
  }

  @inline(__always)
  package static func isBelow(
    _ value: UInt, _ word: SharedWord, file: StaticString = #fileID, line: UInt32 = #line
  ) -> Bool { isBelow(value, word, at: SourceLine(file, line)) }

  @inline(__always)
  package static func loadPair(
    _ pair: SharedPair, _ order: MemoryOrder, file: StaticString = #fileID, line: UInt32 = #line
  ) -> (first: UInt, second: UInt) { loadPair(pair, order, at: SourceLine(file, line)) }

  /// Answers nil when the swap took place, otherwise the pair found.
  @inline(__always)
  package static func compareExchangePair(
    _ pair: SharedPair, expected: (first: UInt, second: UInt), desired: (first: UInt, second: UInt), _ order: MemoryOrder,
    file: StaticString = #fileID, line: UInt32 = #line
  ) -> (first: UInt, second: UInt)? {
    compareExchangePair(pair, expected: expected, desired: desired, order, at: SourceLine(file, line))
  }

  @inline(__always)
  package static func load(_ short: SharedShort, file: StaticString = #fileID, line: UInt32 = #line) -> UInt16 {
    load(short, at: SourceLine(file, line))
  }

  @inline(__always)
  package static func store(
    _ value: UInt16, to short: SharedShort, file: StaticString = #fileID, line: UInt32 = #line
  ) { store(value, to: short, at: SourceLine(file, line)) }

  @inline(__always)
  package static func load(_ byte: SharedByte, file: StaticString = #fileID, line: UInt32 = #line) -> UInt8 {
    load(byte, at: SourceLine(file, line))
  }

  @inline(__always)
  package static func store(
    _ value: UInt8, to byte: SharedByte, file: StaticString = #fileID, line: UInt32 = #line
  ) { store(value, to: byte, at: SourceLine(file, line)) }

  @inline(__always)
  package static func addReportingCarry(
    _ value: UInt8, to byte: SharedByte, file: StaticString = #fileID, line: UInt32 = #line
  ) -> Bool { addReportingCarry(value, to: byte, at: SourceLine(file, line)) }

  @inline(__always)
  package static func clear(
    _ bits: UInt8, in byte: SharedByte, file: StaticString = #fileID, line: UInt32 = #line
  ) { clear(bits, in: byte, at: SourceLine(file, line)) }

  @inline(__always)
  package static func compareExchange(
    _ byte: SharedByte, expected: UInt8, desired: UInt8, file: StaticString = #fileID, line: UInt32 = #line
  ) -> Bool { compareExchange(byte, expected: expected, desired: desired, at: SourceLine(file, line)) }

  @inline(__always)
  package static func wait(
    _ word: SharedWord, while value: UInt, file: StaticString = #fileID, line: UInt32 = #line
  ) { wait(word, while: value, at: SourceLine(file, line)) }

  @inline(__always)
  package static func wake(_ word: SharedWord, file: StaticString = #fileID, line: UInt32 = #line) {
    wake(word, at: SourceLine(file, line))
  }

  @inline(__always)
  package static func pause(file: StaticString = #fileID, line: UInt32 = #line) { pause(at: SourceLine(file, line)) }

  @inline(__always)
  package static func relax(file: StaticString = #fileID, line: UInt32 = #line) { relax(at: SourceLine(file, line)) }
}
