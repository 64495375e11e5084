import CAshlar
import Synchronization

// What takes the place of the seam where scripts/seam builds the library without it: the machine's own operations, with
// nothing between them and the code that calls them.

package struct SharedWord {
  package let address: UnsafeMutableRawPointer

  @inline(__always)
  package init(_ address: UnsafeMutableRawPointer) { self.address = address }
  @inline(__always)
  package init(_ words: UnsafeMutablePointer<UInt>) { address = UnsafeMutableRawPointer(words) }

  @inline(__always)
  fileprivate var atomic: UnsafeMutablePointer<Atomic<UInt>> { address.assumingMemoryBound(to: Atomic<UInt>.self) }
}

package struct SharedPair {
  package let address: UnsafeMutableRawPointer

  @inline(__always)
  package init(_ address: UnsafeMutableRawPointer) { self.address = address }
  package static var bytes: Int { 64 }
  package static var usedBytes: Int { 32 }

  @inline(__always)
  fileprivate var atomic: UnsafeMutablePointer<Atomic<WordPair>> { address.assumingMemoryBound(to: Atomic<WordPair>.self) }
}

package struct SharedShort {
  package let address: UnsafeMutablePointer<UInt16>

  @inline(__always)
  package init(_ address: UnsafeMutablePointer<UInt16>) { self.address = address }
}

package struct SharedByte {
  package let address: UnsafeMutablePointer<UInt8>

  @inline(__always)
  package init(_ address: UnsafeMutablePointer<UInt8>) { self.address = address }
}

package enum HardwareMemory {
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

  // Orderings make no difference to a read-modify-write on x86-64, which is what is compared.
  @inline(__always)
  package static func exchange(_ value: UInt, in word: SharedWord, _: MemoryOrder = .relaxed) -> UInt {
    word.atomic.pointee.exchange(value, ordering: .acquiringAndReleasing)
  }
  @inline(__always)
  package static func compareExchange(_ word: SharedWord, expected: UInt, desired: UInt, _: MemoryOrder = .relaxed) -> UInt {
    word.atomic.pointee.compareExchange(expected: expected, desired: desired, ordering: .acquiringAndReleasing).original
  }
  @inline(__always) @discardableResult
  package static func add(_ value: UInt, to word: SharedWord, _: MemoryOrder = .relaxed) -> UInt {
    word.atomic.pointee.wrappingAdd(value, ordering: .acquiringAndReleasing).oldValue
  }
  @inline(__always) @discardableResult
  package static func or(_ bits: UInt, into word: SharedWord, _: MemoryOrder = .relaxed) -> UInt {
    word.atomic.pointee.bitwiseOr(bits, ordering: .acquiringAndReleasing).oldValue
  }
  @inline(__always) @discardableResult
  package static func and(_ bits: UInt, into word: SharedWord, _: MemoryOrder = .relaxed) -> UInt {
    word.atomic.pointee.bitwiseAnd(bits, ordering: .acquiringAndReleasing).oldValue
  }
  @inline(__always)
  @discardableResult
  package static func addReportingCarry(_ value: UInt, to word: SharedWord) -> Bool { ashlar_add_carry(word.address, value) != 0 }
  @inline(__always)
  package static func copyWords(_ words: SharedWord, to place: SharedWord, _ count: Int) {
    ashlar_copy_words(words.address, place.address, UInt(bitPattern: count))
  }
  @inline(__always)
  package static func isBelow(_ value: UInt, _ word: SharedWord) -> Bool { ashlar_is_below(value, word.address) != 0 }

  @inline(__always)
  package static func loadPair(_ pair: SharedPair, _: MemoryOrder) -> (first: UInt, second: UInt) {
    let value = pair.atomic.pointee.load(ordering: .acquiring)
    return (value.first, value.second)
  }
  @inline(__always)
  package static func compareExchangePair(
    _ pair: SharedPair, expected: (first: UInt, second: UInt), desired: (first: UInt, second: UInt), _: MemoryOrder
  ) -> (first: UInt, second: UInt)? {
    let (exchanged, original) = pair.atomic.pointee.compareExchange(
      expected: WordPair(first: expected.first, second: expected.second),
      desired: WordPair(first: desired.first, second: desired.second), ordering: .acquiringAndReleasing)
    return exchanged ? nil : (original.first, original.second)
  }
  package static func lock(of pair: SharedPair) -> Lock? { nil }

  @inline(__always)
  package static func load(_ short: SharedShort) -> UInt16 { short.address.pointee }
  @inline(__always)
  package static func store(_ value: UInt16, to short: SharedShort) { short.address.pointee = value }

  @inline(__always)
  package static func load(_ byte: SharedByte) -> UInt8 { byte.address.pointee }
  @inline(__always)
  package static func store(_ value: UInt8, to byte: SharedByte) { byte.address.pointee = value }
  @inline(__always)
  package static func addReportingCarry(_ value: UInt8, to byte: SharedByte) -> Bool {
    ashlar_add_byte_carry(byte.address, value) != 0
  }
  @inline(__always)
  package static func clear(_ bits: UInt8, in byte: SharedByte) { ashlar_clear_bits(byte.address, bits) }
  @inline(__always)
  package static func compareExchange(_ byte: SharedByte, expected: UInt8, desired: UInt8) -> Bool {
    UnsafeMutableRawPointer(byte.address).assumingMemoryBound(to: Atomic<UInt8>.self).pointee
      .compareExchange(expected: expected, desired: desired, ordering: .relaxed).exchanged
  }

  @inline(__always)
  package static func acquire(_ lock: SharedWord) { FutexLock(lock).acquire() }
  @inline(__always)
  package static func tryAcquire(_ lock: SharedWord) -> Bool { FutexLock(lock).tryAcquire() }
  @inline(__always)
  package static func release(_ lock: SharedWord) { FutexLock(lock).release() }
  package static var spins: Int { 64 }
  package static func wait(_ word: SharedWord, while value: UInt) {
    ashlar_os_wait(word.address, UInt32(truncatingIfNeeded: value))
  }
  package static func wake(_ word: SharedWord) { ashlar_os_wake(word.address) }
  @inline(__always)
  package static func pause() { System.yield() }
  @inline(__always)
  package static func relax() { ashlar_relax() }

  package static func map(_ bytes: Int) -> UnsafeMutableRawPointer? { System.map(bytes) }
  package static func unmap(_ address: UnsafeMutableRawPointer, _ bytes: Int) { System.unmap(address, bytes) }
  package static func purge(_ address: UnsafeMutableRawPointer, _ bytes: Int) -> Bool { System.purge(address, bytes) }

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
  @inline(__always)
  package static var globals: UnsafeMutablePointer<ashlar_globals> { ashlar_the_globals().unsafelyUnwrapped }
  package static var milliseconds: UInt { System.milliseconds }
  package static var random: UInt { System.random }
}

typealias Memory = HardwareMemory
package enum MemoryOrder { case relaxed, acquiring, releasing, acquiringAndReleasing }

package struct PlainPointer<Value> {
  package let raw: UnsafeMutableRawPointer

  @inline(__always)
  package init(_ raw: UnsafeMutableRawPointer) { self.raw = raw }
  @inline(__always)
  package subscript(index: Int) -> Value {
    get { raw.assumingMemoryBound(to: Value.self)[index] }
    nonmutating set { raw.assumingMemoryBound(to: Value.self)[index] = newValue }
  }
  @inline(__always)
  package static func + (pointer: Self, count: Int) -> Self { Self(pointer.raw + count &* MemoryLayout<Value>.stride) }
}

extension SharedWord {
  @inline(__always)
  package init(_ word: PlainPointer<UInt>) { self.init(word.raw) }
}
