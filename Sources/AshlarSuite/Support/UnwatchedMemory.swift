import Glibc

/// Writes by way of the system: AddressSanitizer, which knows as well that a byte is nobody's, is not who is tested.
enum UnwatchedMemory {
  static func invert(_ byte: UnsafeMutableRawPointer) {
    let memory = open("/proc/self/mem", O_RDWR)
    defer { Glibc.close(memory) }
    var value: UInt8 = 0
    precondition(pread(memory, &value, 1, Int(bitPattern: byte)) == 1, "the byte can't be read")
    value = ~value
    precondition(pwrite(memory, &value, 1, Int(bitPattern: byte)) == 1, "the byte can't be written")
  }
}
