/// Zeroed memory for the state of a layer under test, released with its owner.
package final class ZeroedMemory {
  package let start: UnsafeMutableRawPointer

  package init(bytes: Int) {
    start = .allocate(byteCount: bytes, alignment: 64)
    start.initializeMemory(as: UInt8.self, repeating: 0, count: bytes)
  }

  deinit { start.deallocate() }
}
