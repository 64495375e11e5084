/// A shadow model that knows every live block of one thread, and checks each answer of the subject against it:
/// no overlap, alignment, usable size, contents byte for byte, zeroing.
///
/// It keeps its records of blocks in memory of its own, so that the subject can't damage them. Not thread-safe: one
/// oracle a thread; blocks of different threads are told apart by their contents. Copies share the records.
public struct Oracle {
  /// A live block.
  public struct Block: Equatable, BitwiseCopyable, Sendable {
    public let address: UInt
    public let size: Int
    public let alignment: Int
    let seed: UInt64

    public var pointer: UnsafeMutableRawPointer { UnsafeMutableRawPointer(bitPattern: address)! }
  }

  private let subject: any Subject
  private var generator: SeededGenerator
  /// Live blocks, in the order of their addresses.
  public let live = MappedArray<Block>()
  public private(set) var findings: [String] = []
  /// Requests that the subject answered with nil.
  public private(set) var refusals = 0

  /// Blocks up to this size are filled and verified whole; of larger ones the first and the last half of it.
  private let wholeBelow: Int
  /// Told each finding at once, for where the next operation may be the last.
  let whenFound: ((String) -> Void)?

  public init(_ subject: any Subject, seed: UInt64, wholeBelow: Int = .max, whenFound: ((String) -> Void)? = nil) {
    self.subject = subject
    self.whenFound = whenFound
    self.wholeBelow = wholeBelow
    generator = SeededGenerator(seed: seed)
  }

  /// The parts of a block that are filled and verified.
  private func parts(_ size: Int) -> [Range<Int>] {
    size <= wholeBelow ? [0..<size] : [0..<(wholeBelow / 2), (size - wholeBelow / 2)..<size]
  }

  private func fill(_ block: Block) {
    for part in parts(block.size) { Pattern.fill(block.pointer, part, seed: block.seed) }
  }

  private func firstDifference(_ block: Block, at pointer: UnsafeRawPointer, below limit: Int) -> Int? {
    for part in parts(block.size) where part.lowerBound < limit {
      let range = part.lowerBound..<min(part.upperBound, limit)
      if let offset = Pattern.firstDifference(pointer, range, seed: block.seed) { return offset }
    }
    return nil
  }

  // MARK: Operations

  /// Asks for a block, zeroed where the subject can do that, and fills it. Nil when the subject refuses.
  @discardableResult
  public mutating func allocate(size: Int, alignment: Int = 1, zeroed: Bool = false) -> Block? {
    let zeroed = zeroed && (alignment <= 16 || subject.zeroesAligned)
    guard let pointer = subject.allocate(size: size, alignment: alignment, zeroed: zeroed) else {
      refusals += 1
      return nil
    }
    if zeroed, let offset = parts(size).lazy.compactMap({ Pattern.firstNonZero(pointer, $0) }).first {
      find("byte \(offset) of a zeroed block of \(size) is not zero")
    }
    let block = Block(address: UInt(bitPattern: pointer), size: size, alignment: alignment, seed: generator.next())
    check(block)
    insert(block)
    fill(block)
    return block
  }

  /// Resizes a live block, given by its position. Answers its address afterwards.
  @discardableResult
  public mutating func reallocate(_ index: Int, size: Int) -> UInt {
    let old = live.remove(at: index)
    verify(old)
    guard let pointer = subject.reallocate(old.pointer, size: size) else {
      refusals += 1
      verify(old)
      live.insert(old, at: index)
      return old.address
    }
    if let offset = firstDifference(old, at: pointer, below: min(old.size, size)) {
      find("byte \(offset) was lost when a block of \(old.size) was resized to \(size)")
    }
    let block = Block(address: UInt(bitPattern: pointer), size: size, alignment: 1, seed: old.seed)
    check(block)
    insert(block)
    fill(block)
    return block.address
  }

  /// Gives a live block back, given by its position, with its size or without.
  public mutating func free(_ index: Int, sized: Bool = false) {
    let block = live.remove(at: index)
    verify(block)
    if sized { subject.free(block.pointer, size: block.size) } else { subject.free(block.pointer) }
  }

  /// Takes a live block off the list: its caller gives it back in a way of its own.
  mutating func forget(_ index: Int) { live.remove(at: index) }

  public mutating func freeAll() {
    while !live.isEmpty { free(live.count - 1) }
  }

  // MARK: Checks

  /// Checks that a block's contents are what was written.
  public mutating func verify(_ block: Block) {
    if let offset = firstDifference(block, at: block.pointer, below: block.size) {
      find("byte \(offset) of a live block of \(block.size) at \(hex(block.address)) has changed")
    }
  }

  public mutating func verifyAll() {
    for block in live { verify(block) }
  }

  private mutating func check(_ block: Block) {
    let promised = max(block.alignment, subject.leastAlignment(size: block.size))
    if block.address % UInt(promised) != 0 {
      find("a block of \(block.size) aligned to \(block.alignment) lies at \(hex(block.address))")
    }
    let usable = subject.usableSize(block.pointer)
    if usable < block.size { find("a block of \(block.size) has \(usable) usable bytes") }
  }

  private mutating func insert(_ block: Block) {
    let index = position(of: block.address)
    let end = block.address + UInt(max(block.size, 1))
    if index > 0, live[index - 1].address + UInt(max(live[index - 1].size, 1)) > block.address {
      find("a block of \(block.size) at \(hex(block.address)) overlaps the one of \(live[index - 1].size) before it")
    }
    if index < live.count, end > live[index].address {
      find("a block of \(block.size) at \(hex(block.address)) overlaps the one of \(live[index].size) behind it")
    }
    live.insert(block, at: index)
  }

  /// The position of the live block that begins at an address.
  func position(ofLive address: UInt) -> Int? {
    let index = position(of: address)
    return index < live.count && live[index].address == address ? index : nil
  }

  /// The position of the first live block at or above an address.
  private func position(of address: UInt) -> Int { live.partitioningIndex { $0.address >= address } }

  /// Adds a finding of the caller's own.
  mutating func note(_ text: String) { find(text) }

  private mutating func find(_ text: String) {
    guard findings.count < 20 else { return }
    findings.append(text)
    whenFound?(text)
  }
}

func hex(_ address: UInt) -> String { "0x" + String(address, radix: 16) }
