/// Takes numbers off a byte string, for a grammar in which every byte string is a program.
struct ByteReader {
  private let bytes: [UInt8]
  private var position = 0

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  mutating func byte() -> UInt8? {
    guard position < bytes.count else { return nil }
    defer { position += 1 }
    return bytes[position]
  }

  mutating func number(below limit: Int) -> Int? { byte().map { Int($0) % limit } }

  /// A number of up to `bits` bits: how many it has, then those bits. So small ones are as likely as large ones.
  mutating func number(bits: Int) -> Int? {
    guard let width = number(below: bits + 1) else { return nil }
    var value: UInt = 0
    for shift in stride(from: 0, to: width, by: 8) {
      guard let next = byte() else { return nil }
      value |= UInt(next) << shift
    }
    return Int(bitPattern: width == UInt.bitWidth ? value : value & ((1 << width) - 1))
  }

  /// The bytes that `number(bits:)` reads `value` from.
  static func bytes(of value: Int) -> [UInt8] {
    let value = UInt(bitPattern: value)
    let width = UInt.bitWidth - value.leadingZeroBitCount
    return [UInt8(width)] + stride(from: 0, to: width, by: 8).map { UInt8(truncatingIfNeeded: value >> $0) }
  }
}
