import Ashlar
import Glibc

/// What a child process is doing and has found, in a file that it shares with its parent: what was written is there
/// whatever becomes of the child.
///
/// Nothing here allocates, so that a child whose allocator is broken can still tell. The calls under way are written by
/// the thread that makes them, each to a slot of its own but for collisions, which confuse a report and nothing else;
/// the parent reads when the child has ended.
final class Journal: @unchecked Sendable {
  /// A number for the parent.
  enum Word: Int, CaseIterable {
    case crashedSlot, rounds, isDone, stage, verdict, textBytes
  }

  private enum Field: Int, CaseIterable {
    case function, first, second, third, isUnderWay
  }

  private static let slots = 64
  private static let slotWords = 8
  private static let bytes = 64 << 10
  private static let textOffset = (Word.allCases.count + slots * slotWords) * 8

  private let words: UnsafeMutablePointer<UInt>

  /// Opens or creates the file; nil when it can't be mapped.
  init?(path: String) {
    let file = open(path, O_RDWR | O_CREAT, 0o600)
    guard file >= 0 else { return nil }
    defer { close(file) }
    guard ftruncate(file, Self.bytes) == 0,
      let start = mmap(nil, Self.bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0), start != MAP_FAILED
    else { return nil }
    words = start.bindMemory(to: UInt.self, capacity: Self.bytes / 8)
  }

  deinit { munmap(words, Self.bytes) }

  // Atomic, so that a number is written although another one follows at once: what comes between may end the process.
  subscript(_ word: Word) -> Int {
    get { Int(bitPattern: HardwareMemory.load(SharedWord(words + word.rawValue))) }
    set { HardwareMemory.storeReleasing(UInt(bitPattern: newValue), to: SharedWord(words + word.rawValue)) }
  }

  // MARK: Lines

  enum Line: UInt8 {
    case finding = 0x46  // F
    case note = 0x4E  // N
  }

  /// Adds a line; one that does not fit any more is left out. Not for two threads at once.
  func write(_ kind: Line, _ text: String) {
    var text = text
    text.withUTF8 { bytes in
      let used = self[.textBytes]
      guard Self.textOffset + used + bytes.count + 2 <= Self.bytes else { return }
      let end = UnsafeMutableRawPointer(words) + Self.textOffset + used
      end.storeBytes(of: kind.rawValue, as: UInt8.self)
      if let start = bytes.baseAddress { (end + 1).copyMemory(from: start, byteCount: bytes.count) }
      end.storeBytes(of: 0, toByteOffset: 1 + bytes.count, as: UInt8.self)
      self[.textBytes] = used + bytes.count + 2
    }
  }

  func lines(_ kind: Line) -> [String] {
    let text = UnsafeRawBufferPointer(
      start: UnsafeRawPointer(words) + Self.textOffset, count: min(self[.textBytes], Self.bytes - Self.textOffset))
    return text.split(separator: 0).filter { $0.first == kind.rawValue }.map { String(decoding: $0.dropFirst(), as: UTF8.self) }
  }

  // MARK: Calls

  // Stacks of threads lie a little more than a power of two apart.
  private static var ownSlot: Int { Int((UInt(pthread_self()) >> 12) % UInt(slots)) }

  private func slot(_ index: Int) -> UnsafeMutablePointer<UInt> { words + Word.allCases.count + index * Self.slotWords }

  @inline(__always)
  func during<Result>(
    _ function: MallocFunctions.Function, _ first: Int, _ second: Int, _ third: Int, _ call: () -> Result
  ) -> Result {
    let slot = slot(Self.ownSlot)
    slot[Field.function.rawValue] = function.rawValue
    slot[Field.first.rawValue] = UInt(bitPattern: first)
    slot[Field.second.rawValue] = UInt(bitPattern: second)
    slot[Field.third.rawValue] = UInt(bitPattern: third)
    slot[Field.isUnderWay.rawValue] = 1
    defer { slot[Field.isUnderWay.rawValue] = 0 }
    return call()
  }

  /// The calls that were under way when the child ended; for one that a signal ended, that of its thread, or the last.
  var callsUnderWay: [String] {
    if self[.crashedSlot] > 0 {
      let slot = slot(self[.crashedSlot] - 1)
      guard let call = call(slot) else { return [] }
      return [(slot[Field.isUnderWay.rawValue] == 1 ? "in " : "after ") + call]
    }
    return (0..<Self.slots).compactMap { slot($0)[Field.isUnderWay.rawValue] == 1 ? call(slot($0)).map { "in " + $0 } : nil }
  }

  private func call(_ slot: UnsafeMutablePointer<UInt>) -> String? {
    func argument(_ field: Field) -> Int { Int(bitPattern: slot[field.rawValue]) }
    return MallocFunctions.Function(rawValue: slot[Field.function.rawValue])
      .map { $0.text(argument(.first), argument(.second), argument(.third)) }
  }

  // MARK: Crashes

  /// Makes a signal that ends this process leave word of the thread it came to. For one journal of a process.
  func noteCrashes() {
    journalOfCrashes = words
    for number in [SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE, SIGTRAP] {
      signal(number) { number in
        if let words = journalOfCrashes, words[Word.crashedSlot.rawValue] == 0 {
          words[Word.crashedSlot.rawValue] = UInt(Journal.ownSlot + 1)
        }
        // It comes again, and ends the process.
        signal(number, SIG_DFL)
      }
    }
  }
}

// Written once, before there is a thread that could crash.
nonisolated(unsafe) private var journalOfCrashes: UnsafeMutablePointer<UInt>?
