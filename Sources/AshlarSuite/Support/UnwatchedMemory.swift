import Glibc

/// Writes by way of the system: AddressSanitizer, which knows as well that a byte is nobody's, is not who is tested.
enum UnwatchedMemory {
  static func invert(_ byte: UnsafeMutableRawPointer) {
    withMemory { memory in
      var value: UInt8 = 0
      precondition(pread(memory, &value, 1, Int(bitPattern: byte)) == 1, "the byte can't be read")
      value = ~value
      precondition(pwrite(memory, &value, 1, Int(bitPattern: byte)) == 1, "the byte can't be written")
    }
  }

  static func write(_ bytes: [UInt8], to start: UnsafeMutableRawPointer) {
    withMemory { precondition(pwrite($0, bytes, bytes.count, Int(bitPattern: start)) == bytes.count, "the bytes can't be written") }
  }

  private static func withMemory(_ body: (Int32) -> Void) {
    let memory = open("/proc/self/mem", O_RDWR)
    defer { Glibc.close(memory) }
    body(memory)
  }
}
