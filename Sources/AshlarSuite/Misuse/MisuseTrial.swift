import Glibc

/// One misuse of an allocator's C functions, committed among live blocks in a process of its own, and what it leads to.
///
/// The process knows what it owns: its live blocks, and memory of its own that the misuse pointed to. After the misuse
/// it goes on allocating: what overlaps something owned was handed out twice. Its records lie in memory of their own, and
/// between the misuse and the end it allocates nothing but what it asks for itself.
final class MisuseTrial: @unchecked Sendable {
  /// How far it came; kept where the parent sees it.
  enum Stage: Int { case before, misuse, after, givingBack, exit }

  /// What the process itself saw.
  enum Sight: Int { case nothing, damage, handedOutTwice, notApplicable }

  private struct Piece: BitwiseCopyable {
    var start: UInt
    var size: Int
    /// Of what it holds; 0 for contents that are not known.
    var seed: UInt64
    var isBlock: Bool
  }

  let functions: MallocFunctions
  private let journal: Journal
  /// In the order of their addresses.
  private let owned = MappedArray<Piece>(capacity: 16384)
  private var seeds: UInt64 = 0
  /// Whether contents that change are the allocator's doing.
  var verifies = true

  init(_ functions: MallocFunctions, _ journal: Journal) {
    self.functions = functions
    self.journal = journal
  }

  func run(_ scenario: MisuseScenario) {
    scenario.body(self)
    conclude(probing: scenario.size)
  }

  // MARK: For scenarios

  /// A block that is owned, and filled.
  func allocate(_ size: Int, alignment: Int = 0) -> UnsafeMutableRawPointer {
    guard let block = alignment == 0 ? functions.malloc(size) : aligned(size, alignment) else { notApplicable() }
    own(block, size, isBlock: true)
    return block
  }

  /// The same between neighbours that keep it from merging with what is free.
  func surrounded(_ size: Int) -> UnsafeMutableRawPointer {
    let neighbour = size > 4 << 20 ? 64 : size
    _ = allocate(neighbour)
    defer { _ = allocate(neighbour) }
    return allocate(size)
  }

  private func aligned(_ size: Int, _ alignment: Int) -> UnsafeMutableRawPointer? {
    var block: UnsafeMutableRawPointer?
    guard let allocate = functions.posixMemalign else { return nil }
    return allocate(&block, alignment, size) == 0 ? block : nil
  }

  /// Gives a block back, as its owner may.
  func free(_ block: UnsafeMutableRawPointer) {
    disown(block)
    functions.free(block)
  }

  func disown(_ block: UnsafeMutableRawPointer) {
    if let index = owned.firstIndex(where: { $0.start == UInt(bitPattern: block) }) { owned.remove(at: index) }
  }

  /// Takes note of memory that is the program's own, and fills it unless told not to.
  func own(_ start: UnsafeMutableRawPointer, _ size: Int, isBlock: Bool = false, fills: Bool = true) {
    if overlaps(start, size) { see(.handedOutTwice) }
    seeds += 1
    let seed = fills ? seeds : 0
    let address = UInt(bitPattern: start)
    owned.insert(Piece(start: address, size: size, seed: seed, isBlock: isBlock), at: position(address))
    // Writing to what another owns would make one fault two.
    if fills, journal[.verdict] != Sight.handedOutTwice.rawValue { Pattern.fill(start, 0..<Self.filled(size), seed: seed) }
  }

  /// Does what is wrong.
  func misuse(_ act: () -> Void) {
    journal[.stage] = Stage.misuse.rawValue
    act()
    journal[.stage] = Stage.after.rawValue
  }

  /// Resizes a wrong pointer; what comes back is owned.
  func resize(_ wrong: UnsafeMutableRawPointer, _ size: Int) {
    if let block = functions.realloc(wrong, size) { own(block, size, isBlock: true, fills: false) }
  }

  /// Ends the trial: the library lacks what it takes.
  func notApplicable() -> Never {
    journal[.verdict] = Sight.notApplicable.rawValue
    _exit(0)
  }

  // MARK: What came of it

  private func see(_ sight: Sight) { journal[.verdict] = max(journal[.verdict], sight.rawValue) }

  /// Goes on with the program: looks at what it owns, allocates more, gives everything back and ends.
  func conclude(probing size: Int) -> Never {
    verify()
    for _ in 0..<(size <= 4096 ? 3000 : size <= 256 << 10 ? 200 : size <= 4 << 20 ? 16 : 3) {
      guard let block = functions.malloc(size) else { break }
      own(block, size, isBlock: true)
    }
    verify()
    journal[.stage] = Stage.givingBack.rawValue
    // In no order that a list of free blocks has.
    for step in [2, 1] {
      for index in stride(from: owned.count - 1, through: 0, by: -step) where owned[index].isBlock {
        functions.free(UnsafeMutableRawPointer(bitPattern: owned.remove(at: index).start))
      }
    }
    functions.trim?()
    journal[.stage] = Stage.exit.rawValue
    exit(0)
  }

  private func verify() {
    guard verifies, journal[.verdict] != Sight.handedOutTwice.rawValue else { return }
    for piece in owned where piece.seed != 0 {
      let start = UnsafeRawPointer(bitPattern: piece.start)!
      if Pattern.firstDifference(start, 0..<Self.filled(piece.size), seed: piece.seed) != nil { see(.damage) }
    }
  }

  /// Bytes of a piece that are filled.
  private static func filled(_ size: Int) -> Int { min(size, 16 << 10) }

  private func position(_ address: UInt) -> Int { owned.partitioningIndex { $0.start >= address } }

  private func overlaps(_ start: UnsafeMutableRawPointer, _ size: Int) -> Bool {
    let (begin, index) = (UInt(bitPattern: start), position(UInt(bitPattern: start)))
    if index > 0, owned[index - 1].start + UInt(owned[index - 1].size) > begin { return true }
    return index < owned.count && begin + UInt(size) > owned[index].start
  }
}
