/// The large and huge levels: a mapping of its own for each block, listed in a table under a lock.
///
/// The table decides whether an address outside the region is a block at all, so a foreign pointer is only ever
/// compared, never read through. O(1) expected, plus the system call.
package struct DirectMappings<Memory: SharedMemory> {
  /// One block.
  package struct Block {
    /// Bytes mapped from its address on.
    package var mapped: Int
    /// Bytes that the user asked for.
    package var size: Int
    package var alignment: Int
    /// Whether its user's bytes begin elsewhere than it does.
    package var isGuarded = false

    package var level: Level { size > DirectMappings.hugeLimit ? .huge : .large }
    package var isHuge: Bool { level == .huge }
  }

  /// What there is of one level.
  package struct Counts {
    package var allocations: Int
    package var liveBlocks: Int
    package var liveBytes: Int
  }

  /// Blocks above this size are huge.
  package static var hugeLimit: Int { 1 << 30 }

  private let state: PlainPointer<Memory, UInt>
  private let hugePages: Bool
  private let table: AddressTable<Memory, Block>

  // Words of `state`: lock, table, three counts for large and three for huge, then the ring of addresses given back.
  private enum Field {
    static var table: Int { 1 }
    static var counts: Int { 4 }
    static var releasedNext: Int { 10 }
    static var released: Int { 11 }
    static var releasedCount: Int { 128 }
  }

  package static var bytes: Int { (Field.released + Field.releasedCount) * 8 }

  /// `state` is `bytes` long and zero.
  package init(state: UnsafeMutableRawPointer, hugePages: Bool) {
    self.state = PlainPointer(state)
    self.hugePages = hugePages
    table = AddressTable(state: self.state + Field.table)
  }

  package var lock: Lock<Memory> { Lock(SharedWord(state)) }

  // MARK: Blocks

  /// Maps a zeroed block; nil when the system refuses.
  package func allocate(size: Int, alignment: Int) -> (base: BlockBase, block: Block)? {
    guard let mapped = Self.roundedToPage(size), let memory = map(mapped, alignment: alignment) else { return nil }
    let block = Block(mapped: mapped, size: size, alignment: alignment)
    if hugePages, block.isHuge { System.adviseHugePages(memory, mapped) }
    let listed = lock.withLock { () -> Bool in
      guard table.makeRoom() else { return false }
      list(UInt(bitPattern: memory), block)
      counts(block.isHuge)[0] += 1
      return true
    }
    guard listed else {
      Memory.unmap(memory, mapped)
      return nil
    }
    return (BlockBase(address: UInt(bitPattern: memory)), block)
  }

  /// Says that the block's base is no user's pointer.
  package func setGuarded(_ base: BlockBase) { _ = lock.withLock { table.update(base.address) { $0.isGuarded = true } } }

  /// What is known of the block that begins here; nil when none does.
  package func block(at base: BlockBase) -> Block? { lock.withLock { table[base.address] } }

  /// The block whose mapping an address lies in; for reports. O(blocks).
  package func block(around address: UInt) -> Block? {
    lock.withLock { table.first { start, block in address &- start < UInt(bitPattern: block.mapped) }?.value }
  }

  /// Unlists a block and gives its memory back. False, and no effect, when there is no such block.
  ///
  /// - Parameter user: the address that a late second free would name, where that is not the base.
  package func release(_ base: BlockBase, known user: UInt? = nil) -> Bool {
    let block = lock.withLock { () -> Block? in
      let block = unlist(base.address)
      if block != nil { remember(user ?? base.address) }
      return block
    }
    guard let block else { return false }
    Memory.unmap(base.raw, block.mapped)
    return true
  }

  /// Resizes a block, moving its pages if need be, which nobody copies; it keeps the largest alignment that was ever asked
  /// for. Nil when the system refuses: the block is then what it was.
  package func resize(_ base: BlockBase, to size: Int, alignment: Int) -> BlockBase? {
    lock.withLock {
      guard var block = table[base.address], let mapped = Self.roundedToPage(size) else { return nil }
      var address = base.address
      block.alignment = max(block.alignment, alignment)
      if mapped != block.mapped || !base.address.isRounded(to: UInt(block.alignment)) {
        guard let moved = remap(base.raw, from: block.mapped, to: mapped, alignment: block.alignment) else { return nil }
        address = UInt(bitPattern: moved)
      }
      unlist(base.address)
      let wasHuge = block.isHuge
      block.mapped = mapped
      block.size = size
      // A block that changes its level is an allocation of the one and none of the other.
      counts(wasHuge)[0] -= 1
      counts(block.isHuge)[0] += 1
      list(address, block)
      return BlockBase(address: address)
    }
  }

  /// Releases every huge block, each after `willRelease`; nobody may hold one any more. Answers how many there were.
  package func releaseAllHuge(_ willRelease: (BlockBase) -> Void = { _ in }) -> Int {
    var released = 0
    while let base = anyHuge() {
      willRelease(base)
      if release(base) { released += 1 }
    }
    return released
  }

  /// Releases every block, and the table. Nobody uses either any more. O(blocks).
  package func releaseAll() {
    table.visit { address, block in
      Memory.unmap(BlockBase(address: address).raw, block.mapped)
      return true
    }
    table.removeAll()
  }

  private func anyHuge() -> BlockBase? {
    lock.withLock { table.first { _, block in block.isHuge }.map { BlockBase(address: $0.key) } }
  }

  private func list(_ address: UInt, _ block: Block) {
    table.insert(address, block)
    forget(address)
    counts(block.isHuge)[1] += 1
    counts(block.isHuge)[2] += UInt(block.mapped)
  }

  @discardableResult
  private func unlist(_ address: UInt) -> Block? {
    guard let block = table.remove(address) else { return nil }
    counts(block.isHuge)[1] -= 1
    counts(block.isHuge)[2] -= UInt(block.mapped)
    return block
  }

  // MARK: Addresses given back lately

  /// Whether a block began at this address that was given back lately.
  package func wasReleased(_ base: BlockBase) -> Bool {
    lock.withLock {
      for index in 0..<Field.releasedCount where state[Field.released + index] == base.address { return true }
      return false
    }
  }

  private func remember(_ address: UInt) {
    state[Field.released + Int(state[Field.releasedNext])] = address
    state[Field.releasedNext] = (state[Field.releasedNext] + 1) % UInt(Field.releasedCount)
  }

  private func forget(_ address: UInt) {
    for index in 0..<Field.releasedCount where state[Field.released + index] == address {
      state[Field.released + index] = 0
    }
  }

  // MARK: Counts

  private func counts(_ huge: Bool) -> PlainPointer<Memory, UInt> { state + Field.counts + (huge ? 3 : 0) }

  package func counts(huge: Bool) -> Counts {
    lock.withLock {
      let counts: PlainPointer<Memory, UInt> = counts(huge)
      return Counts(allocations: Int(counts[0]), liveBlocks: Int(counts[1]), liveBytes: Int(counts[2]))
    }
  }

  // MARK: Mapping

  private static func roundedToPage(_ size: Int) -> Int? {
    // No system has so much, and less than that does not overflow when it is aligned.
    guard size <= Int.max - Alignment.largest else { return nil }
    let page = System.pageBytes
    return max(size.roundedUp(to: page), page)
  }

  // Alignment above a page: map more, and give back what lies before and behind.
  private func map(_ bytes: Int, alignment: Int) -> UnsafeMutableRawPointer? {
    let padding = max(alignment - System.pageBytes, 0)
    guard let start = Memory.map(bytes + padding) else { return nil }
    let aligned = start + Int(UInt(bitPattern: start).roundedUp(to: UInt(alignment)) - UInt(bitPattern: start))
    unmap(start, upTo: aligned)
    unmap(aligned + bytes, upTo: start + bytes + padding)
    return aligned
  }

  private func unmap(_ start: UnsafeMutableRawPointer, upTo end: UnsafeMutableRawPointer) {
    if start != end { Memory.unmap(start, end - start) }
  }

  // Alignment above a page: the mapping is moved onto one so aligned, unless it shrinks where it is.
  private func remap(
    _ address: UnsafeMutableRawPointer, from old: Int, to new: Int, alignment: Int
  ) -> UnsafeMutableRawPointer? {
    if alignment <= System.pageBytes || (new < old && UInt(bitPattern: address).isRounded(to: UInt(alignment))) {
      return System.remap(address, from: old, to: new)
    }
    guard let place = map(new, alignment: alignment) else { return nil }
    if let moved = System.remap(address, from: old, to: new, onto: place) { return moved }
    Memory.unmap(place, new)
    return nil
  }

  /// Whether the table is sound and the counts agree with it.
  package func checkInvariants() -> Bool {
    lock.withLock {
      var blocks = 0
      var bytes = 0
      var sound = table.checkInvariants()
      table.visit { _, block in
        blocks += 1
        bytes += block.mapped
        sound = sound && block.size <= block.mapped
        return true
      }
      let (large, huge): (PlainPointer<Memory, UInt>, PlainPointer<Memory, UInt>) = (counts(false), counts(true))
      return sound && UInt(blocks) == large[1] + huge[1] && UInt(bytes) == large[2] + huge[2]
    }
  }
}
