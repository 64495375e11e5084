import Glibc

/// An array in memory that it has from the system, out of reach of the allocator that it keeps records of.
///
/// Copies share the elements: there is one owner. Not thread-safe.
public final class MappedArray<Element: BitwiseCopyable>: RandomAccessCollection {
  private var elements: UnsafeMutablePointer<Element>?
  private var bytes = 0
  public private(set) var count = 0

  /// - Parameter capacity: elements that there is room for at once.
  init(capacity: Int = 0) { if capacity > 0 { grow(toFit: capacity) } }

  deinit { if let elements { munmap(elements, bytes) } }

  public var startIndex: Int { 0 }
  public var endIndex: Int { count }

  public internal(set) subscript(_ index: Int) -> Element {
    get {
      precondition(index >= 0 && index < count, "index out of range")
      return elements.unsafelyUnwrapped[index]
    }
    set {
      precondition(index >= 0 && index < count, "index out of range")
      elements.unsafelyUnwrapped[index] = newValue
    }
  }

  /// Where the elements begin of which `belongs` holds; it holds of none before one of which it does not. O(log count).
  func partitioningIndex(where belongs: (Element) -> Bool) -> Int {
    var (low, high) = (0, count)
    while low < high {
      let middle = (low + high) / 2
      if belongs(self[middle]) { high = middle } else { low = middle + 1 }
    }
    return low
  }

  func append(_ element: Element) { insert(element, at: count) }

  func insert(_ element: Element, at index: Int) {
    grow(toFit: count + 1)
    let place = elements.unsafelyUnwrapped + index
    (place + 1).update(from: place, count: count - index)
    place.initialize(to: element)
    count += 1
  }

  @discardableResult
  func remove(at index: Int) -> Element {
    let element = self[index]
    let place = elements.unsafelyUnwrapped + index
    place.update(from: place + 1, count: count - index - 1)
    count -= 1
    return element
  }

  func removeAll() { count = 0 }

  private func grow(toFit needed: Int) {
    let needed = needed * MemoryLayout<Element>.stride
    guard needed > bytes else { return }
    let larger = Swift.max(2 * bytes, (needed + 4095) & ~4095)
    guard let start = mmap(nil, larger, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), start != MAP_FAILED
    else { fatalError("the system refuses memory for records") }
    if let elements {
      start.copyMemory(from: elements, byteCount: count * MemoryLayout<Element>.stride)
      munmap(elements, bytes)
    }
    elements = start.bindMemory(to: Element.self, capacity: larger / MemoryLayout<Element>.stride)
    bytes = larger
  }
}
