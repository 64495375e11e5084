/// A pointer to plain memory that several threads come to touch, one at a time: an owner, or whoever holds a lock.
///
/// The seam is told of each access before it is made. `Value` is an integer or a plain struct; changing a part of a
/// struct reads and writes all of it.
package struct PlainPointer<Memory: SharedMemory, Value> {
  package let raw: UnsafeMutableRawPointer

  /// `raw` is aligned for `Value`, and stays mapped for as long as the pointer is used.
  @inline(__always)
  package init(_ raw: UnsafeMutableRawPointer) { self.raw = raw }

  @inline(__always)
  private var values: UnsafeMutablePointer<Value> { raw.assumingMemoryBound(to: Value.self) }

  @inline(__always)
  package subscript(index: Int, file: StaticString = #fileID, line: UInt32 = #line) -> Value {
    get {
      Memory.willRead(values + index, MemoryLayout<Value>.size, at: SourceLine(file, line))
      return values[index]
    }
    nonmutating set {
      Memory.willWrite(values + index, MemoryLayout<Value>.size, at: SourceLine(file, line))
      values[index] = newValue
    }
  }

  @inline(__always)
  package static func + (pointer: Self, count: Int) -> Self { Self(pointer.raw + count &* MemoryLayout<Value>.stride) }
}

extension SharedWord {
  /// The word as one that is shared, and then never touched through the plain pointer.
  @inline(__always)
  package init<Memory>(_ word: PlainPointer<Memory, UInt>) { self.init(word.raw) }
}
