/// A sequence of operations on an allocator, for the fuzzer to mutate, the oracle to check and a person to edit.
///
/// It has a byte form in which every byte string is a program, and a text form with a line for each operation. Blocks
/// are named by slots, 0 to 63.
public struct OperationProgram: Equatable, Sendable {
  public enum Operation: Equatable, Sendable {
    /// Fills a slot, which is freed first if it holds a block.
    case allocate(slot: Int, size: Int, alignmentExponent: Int, zeroed: Bool)
    case reallocate(slot: Int, size: Int)
    case free(slot: Int, sized: Bool)
    case measure(slot: Int)
    case verify
    case trim
    /// The operations that follow are carried out by this thread, 0 to 3.
    case thread(Int)
    case misuse(slot: Int, Misuse)
  }

  /// What is done wrong to the block of a slot, or to the one that it held last.
  public enum Misuse: Int, Sendable, CaseIterable {
    case freeAgain, reallocateAgain, measureAgain, freeInside, freeMisaligned, freeSizedTooLarge

    var name: String {
      switch self {
      case .freeAgain: "free-again"
      case .reallocateAgain: "reallocate-again"
      case .measureAgain: "measure-again"
      case .freeInside: "free-inside"
      case .freeMisaligned: "free-misaligned"
      case .freeSizedTooLarge: "free-sized-too-large"
      }
    }
  }

  public static let slots = 64
  public static let threads = 4
  /// Sizes are below 2^31, alignments below 2^24.
  static let sizeBits = 31
  static let alignmentExponents = 24

  public var operations: [Operation]

  public init(_ operations: [Operation]) { self.operations = operations }
}

// MARK: The byte form

extension OperationProgram {
  /// The program that a byte string stands for; there is one for every byte string.
  public init(bytes: some Sequence<UInt8>) {
    var reader = ByteReader(bytes)
    var operations: [Operation] = []
    while let operation = Self.read(&reader) { operations.append(operation) }
    self.operations = operations
  }

  /// The shortest byte string that stands for this program.
  public var bytes: [UInt8] {
    var bytes: [UInt8] = []
    for operation in operations { Self.write(operation, &bytes) }
    return bytes
  }

  // Allocating and freeing have more than one code, so that random bytes hold more of them.
  private static let codes = 16

  private static func read(_ reader: inout ByteReader) -> Operation? {
    guard let code = reader.byte() else { return nil }
    switch Int(code) % codes {
    case 0, 1, 2, 3:
      guard let slot = reader.number(below: slots), let size = reader.size(),
        let exponent = reader.number(below: alignmentExponents * 2)
      else { return nil }
      return .allocate(
        slot: slot, size: size, alignmentExponent: exponent % alignmentExponents, zeroed: exponent >= alignmentExponents)
    case 4, 5:
      guard let slot = reader.number(below: slots), let size = reader.size() else { return nil }
      return .reallocate(slot: slot, size: size)
    case 6, 7, 8: return reader.number(below: slots).map { .free(slot: $0, sized: false) }
    case 9: return reader.number(below: slots).map { .free(slot: $0, sized: true) }
    case 10: return reader.number(below: slots).map { .measure(slot: $0) }
    case 11: return .verify
    case 12: return .trim
    case 13: return reader.number(below: threads).map { .thread($0) }
    default:
      guard let slot = reader.number(below: slots), let misuse = reader.number(below: Misuse.allCases.count) else {
        return nil
      }
      return .misuse(slot: slot, Misuse.allCases[misuse])
    }
  }

  private static func write(_ operation: Operation, _ bytes: inout [UInt8]) {
    switch operation {
    case .allocate(let slot, let size, let exponent, let zeroed):
      bytes += [0, UInt8(slot)] + ByteReader.bytes(ofSize: size) + [UInt8(exponent + (zeroed ? alignmentExponents : 0))]
    case .reallocate(let slot, let size): bytes += [4, UInt8(slot)] + ByteReader.bytes(ofSize: size)
    case .free(let slot, let sized): bytes += [sized ? 9 : 6, UInt8(slot)]
    case .measure(let slot): bytes += [10, UInt8(slot)]
    case .verify: bytes.append(11)
    case .trim: bytes.append(12)
    case .thread(let thread): bytes += [13, UInt8(thread)]
    case .misuse(let slot, let misuse): bytes += [14, UInt8(slot), UInt8(misuse.rawValue)]
    }
  }
}

/// Takes numbers off a byte string.
private struct ByteReader {
  private var bytes: [UInt8]
  private var position = 0

  init(_ bytes: some Sequence<UInt8>) { self.bytes = Array(bytes) }

  mutating func byte() -> UInt8? {
    guard position < bytes.count else { return nil }
    defer { position += 1 }
    return bytes[position]
  }

  mutating func number(below limit: Int) -> Int? { byte().map { Int($0) % limit } }

  /// A size: how many bits it has, then those bits. So small sizes are as likely as large ones.
  mutating func size() -> Int? {
    guard let width = number(below: OperationProgram.sizeBits + 1) else { return nil }
    var value = 0
    for shift in stride(from: 0, to: width, by: 8) {
      guard let next = byte() else { return nil }
      value |= Int(next) << shift
    }
    return value & ((1 << width) - 1)
  }

  static func bytes(ofSize size: Int) -> [UInt8] {
    let width = Int.bitWidth - size.leadingZeroBitCount
    return [UInt8(width)] + stride(from: 0, to: width, by: 8).map { UInt8(truncatingIfNeeded: size >> $0) }
  }
}
