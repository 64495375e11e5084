/// Zeroed memory for the state of a layer under test, released with its owner. What is written beside it ends the process.
package final class ZeroedMemory {
  package let start: UnsafeMutableRawPointer
  private let bytes: Int
  private static let margin = 64

  package init(bytes: Int) {
    self.bytes = bytes
    let memory = UnsafeMutableRawPointer.allocate(byteCount: bytes + 2 * Self.margin, alignment: 64)
    memory.initializeMemory(as: UInt8.self, repeating: 0xA5, count: bytes + 2 * Self.margin)
    start = memory + Self.margin
    start.initializeMemory(as: UInt8.self, repeating: 0, count: bytes)
  }

  deinit {
    let memory = UnsafeRawBufferPointer(start: start - Self.margin, count: bytes + 2 * Self.margin)
    precondition(memory.prefix(Self.margin).allSatisfy { $0 == 0xA5 }, "written before memory of \(bytes) bytes")
    precondition(memory.suffix(Self.margin).allSatisfy { $0 == 0xA5 }, "written behind memory of \(bytes) bytes")
    (start - Self.margin).deallocate()
  }
}
