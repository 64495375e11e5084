/// Memory that one thread at a time may touch: no choices, but every access must be ordered with the ones before it.
extension Engine {
  /// Finds the cell of an access, which must not be in memory that was given back.
  func cell(_ address: UInt, _ bytes: Int, _ place: Place) -> Int {
    if address < 4096 { fail(Failure(.useAfterRelease, "\(threadName(current)) touches address \(address) at \(place.sourceLine)")) }
    for range in released where range.contains(address) {
      fail(Failure(.useAfterRelease, "\(threadName(current)) touches \(describe(address)) at \(place.sourceLine), which was given back"))
    }
    let index = table.find(address, bytes)
    if table[index].pointee.bytes != bytes, table[index].pointee.last >= 0 {
      fail(Failure(.misuse, "\(describe(address)) is touched as \(bytes) bytes and as \(table[index].pointee.bytes) at \(place.sourceLine)"))
    }
    return index
  }

  func describe(_ address: UInt) -> String { recorder?.name(address) ?? "0x" + String(address, radix: 16) }

  func plain(_ address: UInt, _ bytes: Int, isWrite: Bool, _ place: Place) {
    if isAlone { return }
    recorder?.plain(current, address, bytes, isWrite, place)
    // Small ones by their own address, larger ones word by word.
    guard bytes >= 8 else { return touch(cell(address, bytes, place), isWrite: isWrite, place) }
    var word = address & ~7
    while word < address &+ UInt(bytes) {
      touch(cell(word, 8, place), isWrite: isWrite, place)
      word &+= 8
    }
  }

  private func touch(_ index: Int, isWrite: Bool, _ place: Place) {
    let cell = table[index]
    let clock = threads[current].clock
    check(clock, cell.pointee.plainWrites, index, "writes", isWrite ? "writes" : "reads", place)
    check(clock, cell.pointee.atomicWrites, index, "stores to", isWrite ? "writes" : "reads", place)
    if isWrite {
      check(clock, cell.pointee.plainReads, index, "reads", "writes", place)
      check(clock, cell.pointee.atomicReads, index, "loads", "writes", place)
      cell.pointee.plainWrites[current] = clock[current]
      // The next atomic access begins with what is written now.
      cell.pointee.last = -1
      cell.pointee.version &+= 1
    } else {
      cell.pointee.plainReads[current] = clock[current]
    }
    recorder?.touched(index, current, place)
  }

  func check(_ clock: Clock, _ others: Clock, _ index: Int, _ theirs: String, _ ours: String, _ place: Place) {
    guard !clock.includes(others), let other = clock.firstMissing(of: others) else { return }
    let there = recorder?.lastTouch(index, other).map { " at \($0)" } ?? ""
    fail(
      Failure(
        .race,
        "\(threadName(current)) \(ours) \(describe(table[index].pointee.address)) at \(place.sourceLine), which \(threadName(other)) \(theirs)\(there), in no order"))
  }

  /// Memory is given back: whoever touches it from now on is wrong, and so is whoever may still have been touching it.
  func release(_ range: Range<UInt>, _ place: Place) {
    overwrite(range, place)
    released.append(range)
    recorder?.note(current, "gives back \(describe(range.lowerBound)), \(range.count) bytes", place)
  }

  /// Memory is filled by other means, as by the system.
  func overwrite(_ range: Range<UInt>, _ place: Place) {
    if isAlone { return }
    for index in 0..<table.count where range.contains(table[index].pointee.address) {
      touch(index, isWrite: true, place)
    }
  }

  /// Memory is mapped anew, perhaps where something was given back.
  func map(_ range: Range<UInt>) { released.removeAll { $0.overlaps(range) } }
}
