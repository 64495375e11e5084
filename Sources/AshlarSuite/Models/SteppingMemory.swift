import Ashlar
import CAshlar
import ScheduleExplorer

/// The memory on which models run the shipped code: every shared step is a choice of the explorer.
package enum SteppingMemory: SharedMemory {
  /// What an execution has for a process.
  private static var process: ModelProcess {
    guard let process = Explored.environment as? ModelProcess else { fatalError("a model's set-up makes a ModelProcess first") }
    return process
  }

  private static func order(_ order: MemoryOrder) -> Order {
    switch order {
    case .relaxed: .relaxed
    case .acquiring: .acquiring
    case .releasing: .releasing
    case .acquiringAndReleasing: .acquiringAndReleasing
    }
  }

  // What the hardware's atomics ask for.
  private static func address(_ word: SharedWord) -> UnsafeMutableRawPointer {
    precondition(UInt(bitPattern: word.address) % 8 == 0, "a shared word that is not aligned")
    return word.address
  }

  private static func address(_ pair: SharedPair) -> UnsafeMutableRawPointer {
    precondition(UInt(bitPattern: pair.address) % 16 == 0, "a shared pair that is not aligned")
    return pair.address
  }

  // MARK: Words

  package static func load(_ word: SharedWord, _ order: MemoryOrder, at: Ashlar.SourceLine) -> UInt {
    Explored.load(address(word), Self.order(order), file: at.file, line: at.line)
  }

  package static func store(_ value: UInt, to word: SharedWord, _ order: MemoryOrder, at: Ashlar.SourceLine) {
    Explored.store(value, to: address(word), Self.order(order), file: at.file, line: at.line)
  }

  package static func exchange(_ value: UInt, in word: SharedWord, _ order: MemoryOrder, at: Ashlar.SourceLine) -> UInt {
    Explored.update(address(word), Self.order(order), file: at.file, line: at.line) { _ in value }
  }

  package static func compareExchange(
    _ word: SharedWord, expected: UInt, desired: UInt, _ order: MemoryOrder, at: Ashlar.SourceLine
  ) -> UInt {
    Explored.compareExchange(
      address(word), expected: expected, desired: desired, Self.order(order), file: at.file, line: at.line)
  }

  package static func update(
    _ word: SharedWord, _ update: Update, _ operand: UInt, _ order: MemoryOrder, at: Ashlar.SourceLine
  ) -> UInt {
    Explored.update(address(word), Self.order(order), file: at.file, line: at.line) { value in
      switch update {
      case .add: value &+ operand
      case .or: value | operand
      case .and: value & operand
      }
    }
  }

  /// The owner's own step of a word that others only read: a load and a store.
  package static func addReportingCarry(_ value: UInt, to word: SharedWord, at: Ashlar.SourceLine) -> Bool {
    let (sum, carry) = load(word, .relaxed, at: at).addingReportingOverflow(value)
    store(sum, to: word, .relaxed, at: at)
    return carry
  }

  package static func copyWords(_ words: SharedWord, to place: SharedWord, _ count: Int, at line: Ashlar.SourceLine) {
    for offset in stride(from: 0, to: 8 * count, by: 8) {
      store(load(SharedWord(words.address + offset), .relaxed, at: line), to: SharedWord(place.address + offset), .relaxed, at: line)
    }
  }

  package static func isBelow(_ value: UInt, _ word: SharedWord, at: Ashlar.SourceLine) -> Bool {
    value < load(word, .relaxed, at: at)
  }

  // MARK: Pairs

  package static func loadPair(_ pair: SharedPair, _ order: MemoryOrder, at: Ashlar.SourceLine) -> (first: UInt, second: UInt) {
    Explored.loadPair(address(pair), Self.order(order), file: at.file, line: at.line)
  }

  package static func compareExchangePair(
    _ pair: SharedPair, expected: (first: UInt, second: UInt), desired: (first: UInt, second: UInt), _ order: MemoryOrder,
    at: Ashlar.SourceLine
  ) -> (first: UInt, second: UInt)? {
    let found = Explored.compareExchangePair(
      address(pair), expected: expected, desired: desired, Self.order(order), file: at.file, line: at.line)
    return found == expected ? nil : found
  }

  // MARK: Shorts and bytes

  package static func load(_ short: SharedShort, at: Ashlar.SourceLine) -> UInt16 {
    UInt16(Explored.load(UnsafeMutableRawPointer(short.address), bytes: 2, .relaxed, file: at.file, line: at.line))
  }

  package static func store(_ value: UInt16, to short: SharedShort, at: Ashlar.SourceLine) {
    Explored.store(UInt(value), to: UnsafeMutableRawPointer(short.address), bytes: 2, .relaxed, file: at.file, line: at.line)
  }

  package static func load(_ byte: SharedByte, at: Ashlar.SourceLine) -> UInt8 {
    UInt8(Explored.load(UnsafeMutableRawPointer(byte.address), bytes: 1, .relaxed, file: at.file, line: at.line))
  }

  package static func store(_ value: UInt8, to byte: SharedByte, at: Ashlar.SourceLine) {
    Explored.store(UInt(value), to: UnsafeMutableRawPointer(byte.address), bytes: 1, .relaxed, file: at.file, line: at.line)
  }

  package static func addReportingCarry(_ value: UInt8, to byte: SharedByte, at: Ashlar.SourceLine) -> Bool {
    let (sum, carry) = load(byte, at: at).addingReportingOverflow(value)
    store(sum, to: byte, at: at)
    return carry
  }

  package static func clear(_ bits: UInt8, in byte: SharedByte, at: Ashlar.SourceLine) {
    store(load(byte, at: at) & ~bits, to: byte, at: at)
  }

  package static func compareExchange(_ byte: SharedByte, expected: UInt8, desired: UInt8, at: Ashlar.SourceLine) -> Bool {
    Explored.compareExchange(
      UnsafeMutableRawPointer(byte.address), bytes: 1, expected: UInt(expected), desired: UInt(desired), .relaxed, file: at.file,
      line: at.line) == UInt(expected)
  }

  // MARK: Plain memory

  package static func willRead(_ address: UnsafeRawPointer, _ bytes: Int, at: Ashlar.SourceLine) {
    Explored.willRead(address, bytes: bytes, file: at.file, line: at.line)
  }

  package static func willWrite(_ address: UnsafeMutableRawPointer, _ bytes: Int, at: Ashlar.SourceLine) {
    Explored.willWrite(address, bytes: bytes, file: at.file, line: at.line)
  }

  package static func map(_ bytes: Int) -> UnsafeMutableRawPointer? { process.map(bytes) }
  package static func unmap(_ address: UnsafeMutableRawPointer, _ bytes: Int) { process.unmap(address, bytes) }

  package static func purge(_ address: UnsafeMutableRawPointer, _ bytes: Int) -> Bool {
    Explored.willOverwrite(UnsafeRawBufferPointer(start: address, count: bytes))
    return System.purge(address, bytes)
  }

  // MARK: Waiting

  package static func acquire(_ lock: SharedWord, at: Ashlar.SourceLine) { Explored.lock(lock.address, file: at.file, line: at.line) }
  package static func tryAcquire(_ lock: SharedWord, at: Ashlar.SourceLine) -> Bool {
    Explored.tryLock(lock.address, file: at.file, line: at.line)
  }
  package static func release(_ lock: SharedWord, at: Ashlar.SourceLine) { Explored.unlock(lock.address, file: at.file, line: at.line) }
  package static func wait(_ word: SharedWord, while value: UInt, at: Ashlar.SourceLine) {
    Explored.wait(word.address, while: value, file: at.file, line: at.line)
  }
  package static func wake(_ word: SharedWord, at: Ashlar.SourceLine) {
    process.wakes += 1
    Explored.wake(word.address, file: at.file, line: at.line)
  }
  package static func pause(at: Ashlar.SourceLine) { Explored.pause(file: at.file, line: at.line) }
  package static func relax(at: Ashlar.SourceLine) { process.whileRelaxing?() }
  package static var spins: Int { process.spins }

  // MARK: Thread and process

  package static var cache: UnsafeMutableRawPointer {
    get { UnsafeMutableRawPointer(bitPattern: Explored.local(0)) ?? ashlar_no_cache() }
    set { Explored.setLocal(0, UInt(bitPattern: newValue)) }
  }

  package static var hasExited: Bool {
    get { Explored.local(1) != 0 }
    set { Explored.setLocal(1, newValue ? 1 : 0) }
  }

  package static func watchThreadExit(_ cache: UnsafeMutableRawPointer) -> Bool { process.watchesExits }

  package static var globals: UnsafeMutablePointer<ashlar_globals> { process.globals }
  package static var milliseconds: UInt { process.milliseconds }
  package static var random: UInt { 0x9E37_79B9_7F4A_7C15 }
}
