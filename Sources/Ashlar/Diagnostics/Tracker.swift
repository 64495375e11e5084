/// Records where every live block was allocated, while it is switched on.
///
/// A table under a lock, in memory of its own. While it is off it costs nothing: the heap routes every call past the
/// hot path only while it is on. Blocks allocated before it was switched on are unknown to it.
package struct Tracker<Memory: SharedMemory> {
  package struct Record {
    package var site: Site
    package var size: Int
    package var level: Level
  }

  private struct Group {
    var site: Site
    var level: Level
    var blocks: Int
    var bytes: Int
  }

  // Words: lock, 1 while on, table, groups, blocks that could not be recorded.
  private let state: PlainPointer<Memory, UInt>
  private let table: AddressTable<Memory, Record>
  private let groups: AddressTable<Memory, Group>

  package static var bytes: Int { 2 * CacheLine.bytes }

  /// `state` is `bytes` long and zero.
  package init(state: UnsafeMutableRawPointer) {
    self.state = PlainPointer(state)
    table = AddressTable(state: self.state + 2)
    groups = AddressTable(state: self.state + 5)
  }

  package var lock: Lock<Memory> { Lock(SharedWord(state)) }
  private var enabledWord: SharedWord { SharedWord(state + 1) }

  package var isEnabled: Bool { Memory.load(enabledWord) != 0 }

  /// Switching off forgets every record.
  package func setEnabled(_ enabled: Bool) {
    lock.withLock {
      Memory.store(enabled ? 1 : 0, to: enabledWord)
      if !enabled {
        table.removeAll()
        state[8] = 0
      }
    }
  }

  package func record(_ user: UserPointer, size: Int, level: Level, site: Site) {
    lock.withLock {
      // Switched off meanwhile, it has forgotten all, and stays so.
      guard isEnabled else { return }
      table.remove(user.address)
      if table.makeRoom() {
        table.insert(user.address, Record(site: site, size: size, level: level))
      } else {
        state[8] += 1
      }
    }
  }

  package func forget(_ user: UserPointer) { _ = withdraw(user) }

  /// Takes out what is known of a block.
  package func withdraw(_ user: UserPointer) -> Record? {
    guard isEnabled else { return nil }
    return lock.withLock { table.remove(user.address) }
  }

  /// Live blocks known.
  package var count: Int { lock.withLock { table.count } }

  /// Prints what is live, grouped by site and level, to standard error; answers how many blocks that is.
  ///
  /// Writes with write(2) and allocates nothing from the heap.
  package func report() -> Int {
    lock.withLock {
      var blocks = 0
      var bytes = 0
      table.visit { _, record in
        blocks += 1
        bytes += record.size
        return add(record)
      }
      LineWriter.report { line in
        line.append("ashlar: ")
        line.append(blocks)
        line.append(" blocks live, ")
        line.append(bytes)
        line.append(" bytes")
        if state[8] > 0 {
          line.append("; not recorded for want of memory: ")
          line.append(Int(state[8]))
        }
      }
      groups.visit { _, group in
        print(group)
        return true
      }
      groups.removeAll()
      return blocks
    }
  }

  private func add(_ record: Record) -> Bool {
    // One key for a site on a level; sites that are different never share an address and a line.
    let site = record.site.address &+ UInt(record.site.line) &* 0x9E37_79B9_7F4A_7C15
    let key = site &* 4 | UInt(record.level.rawValue) | 1 << 63
    let known = groups.update(key) { group in
      group.blocks += 1
      group.bytes += record.size
    }
    if known { return true }
    guard groups.makeRoom() else { return false }
    groups.insert(key, Group(site: record.site, level: record.level, blocks: 1, bytes: record.size))
    return true
  }

  private func print(_ group: Group) {
    LineWriter.report { line in
      line.append("ashlar:   ")
      line.append(group.blocks)
      line.append(" ")
      line.append(group.level.name)
      line.append(group.blocks == 1 ? " block, " : " blocks, ")
      line.append(group.bytes)
      line.append(" bytes, from ")
      group.site.append(to: &line)
    }
  }
}
