/// The part of the seam that is about plain memory, which one thread owns or a lock guards. See `SharedMemory`.
@usableFromInline
package protocol PlainMemory {
  /// Told before each read.
  static func willRead(_ address: UnsafeRawPointer, _ bytes: Int, at line: SourceLine)
  /// Told before each write.
  static func willWrite(_ address: UnsafeMutableRawPointer, _ bytes: Int, at line: SourceLine)
}

/// A pointer to plain memory that several threads come to touch, one at a time: an owner, or whoever holds a lock.
///
/// The seam is told of each access before it is made. `Value` is an integer or a plain struct; changing a part of a
/// struct reads and writes all of it.
@usableFromInline
package struct PlainPointer<Memory: PlainMemory, Value> {
  @usableFromInline package let raw: UnsafeMutableRawPointer

  /// `raw` is aligned for `Value`, and stays mapped for as long as the pointer is used.
  @inlinable @inline(__always)
  package init(_ raw: UnsafeMutableRawPointer) { self.raw = raw }

  @inlinable @inline(__always)
  var values: UnsafeMutablePointer<Value> { raw.assumingMemoryBound(to: Value.self) }

  @inlinable @inline(__always)
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

  @inlinable @inline(__always)
  package static func + (pointer: Self, count: Int) -> Self { Self(pointer.raw + count &* MemoryLayout<Value>.stride) }
}

extension SharedWord {
  /// The word as one that is shared, and then never touched through the plain pointer.
  @inline(__always)
  package init<Memory>(_ word: PlainPointer<Memory, UInt>) { self.init(word.raw) }
}
