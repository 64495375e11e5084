/// Memory for `count` elements of a type, released at the end of its scope.
///
/// Not copyable: there is one owner, and the memory goes back to the allocator that it came from when that owner's life
/// ends. The elements are not initialised and not deinitialised: `Element` is a trivial type, or its owner sees to both.
///
/// ```swift
/// let samples = try Buffer<Float>(count: 4096, alignment: 64, zeroed: true)
/// samples[0] = 1
/// ```
public struct Buffer<Element>: ~Copyable {
  /// The first element's address.
  public let baseAddress: UnsafeMutablePointer<Element>
  /// Elements that fit.
  public let count: Int
  private let allocator: any BlockAllocator

  /// - Parameters:
  ///   - alignment: in bytes, a power of two; at least that of the type is given.
  ///   - allocator: where the memory comes from and goes back to.
  /// - Throws: `AllocationError`, `invalidSize` for a negative count or one whose bytes overflow.
  /// - Complexity: that of the allocator; O(count) when zeroed.
  public init(
    count: Int, alignment: Int = MemoryLayout<Element>.alignment, zeroed: Bool = false,
    allocator: any BlockAllocator = DefaultAllocator.current, file: StaticString = #fileID, line: UInt = #line
  ) throws(AllocationError) {
    let (bytes, overflow) = count.multipliedReportingOverflow(by: MemoryLayout<Element>.stride)
    guard !overflow else { throw .invalidSize }
    // Raised to the type's own, unless it is none at all: that is for the allocator to refuse, as is a negative size.
    let raised = Alignment(UInt(bitPattern: alignment)).map { max($0.value, MemoryLayout<Element>.alignment) }
    let block = try allocator.allocate(size: bytes, alignment: raised ?? alignment, zeroed: zeroed, file: file, line: line)
    baseAddress = block.bindMemory(to: Element.self, capacity: count)
    self.count = count
    self.allocator = allocator
  }

  /// - Precondition: `index` is in `0..<count`.
  public subscript(index: Int) -> Element {
    get {
      precondition(index >= 0 && index < count, "index out of range")
      return baseAddress[index]
    }
    nonmutating set {
      precondition(index >= 0 && index < count, "index out of range")
      baseAddress[index] = newValue
    }
  }

  /// All elements, valid for as long as the buffer lives.
  public var elements: UnsafeMutableBufferPointer<Element> {
    UnsafeMutableBufferPointer(start: baseAddress, count: count)
  }

  deinit { allocator.deallocate(UnsafeMutableRawPointer(baseAddress)) }
}
