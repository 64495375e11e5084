import CAshlar

/// Text put together without allocating, and written with write(2) in one piece a line.
///
/// What doesn't fit in the buffer is cut off.
package struct LineWriter {
  private let buffer: UnsafeMutableRawBufferPointer
  private var used = 0

  /// Room for one line of any report.
  package static let capacity = 1024

  package init(buffer: UnsafeMutableRawBufferPointer) { self.buffer = buffer }

  /// Builds text with `body` and writes it to standard error.
  package static func report(_ body: (inout LineWriter) -> Void) {
    withUnsafeTemporaryAllocation(byteCount: capacity, alignment: 1) { buffer in
      var writer = LineWriter(buffer: buffer)
      body(&writer)
      writer.end()
    }
  }

  /// Writes what there is, as a line, and begins anew.
  package mutating func end() {
    if used == buffer.count { used -= 1 }
    append(byte: 10)
    ashlar_os_write(2, buffer.baseAddress, used)
    used = 0
  }

  package mutating func append(byte: UInt8) {
    guard used < buffer.count else { return }
    buffer[used] = byte
    used += 1
  }

  package mutating func append(_ text: StaticString) {
    for index in 0..<text.utf8CodeUnitCount { append(byte: text.utf8Start[index]) }
  }

  /// Appends a C string.
  package mutating func append(cString text: UnsafePointer<CChar>) {
    var index = 0
    while text[index] != 0 {
      append(byte: UInt8(bitPattern: text[index]))
      index += 1
    }
  }

  package mutating func append(_ value: Int) {
    if value < 0 { append(byte: 45) }
    append(digits: value.magnitude, radix: 10)
  }

  package mutating func append(hexadecimal value: UInt) {
    append("0x")
    append(digits: value, radix: 16)
  }

  private mutating func append(digits value: UInt, radix: UInt) {
    var divisor: UInt = 1
    while value / divisor >= radix { divisor *= radix }
    while divisor > 0 {
      let digit = UInt8(value / divisor % radix)
      append(byte: digit < 10 ? 48 + digit : 87 + digit)
      divisor /= radix
    }
  }

  /// Appends a size in the largest unit that divides it: "64 B", "1 MiB".
  package mutating func append(size: Int) {
    var value = size
    var unit = 0
    while unit < 3, value >= 1024, value % 1024 == 0 {
      value /= 1024
      unit += 1
    }
    append(value)
    switch unit {
    case 0: append(" B")
    case 1: append(" KiB")
    case 2: append(" MiB")
    default: append(" GiB")
    }
  }
}
