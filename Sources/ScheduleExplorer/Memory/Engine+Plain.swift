/// Memory that one thread at a time may touch: no choices, but every access must be ordered with the ones before it.
extension Engine {
  /// The cell of an access must not be in memory that was given back, nor change its size.
  func checkInUse(_ index: Int, _ bytes: Int, _ place: Place) {
    let cell = table[index]
    if cell.pointee.address < 4096 {
      fail(Failure(.useAfterRelease, "\(threadName(current)) touches address \(cell.pointee.address) at \(place.sourceLine)"))
    }
    if !released.isEmpty, released.contains(where: { $0.contains(cell.pointee.address) }) {
      let name = describe(cell.pointee.address)
      fail(Failure(.useAfterRelease, "\(threadName(current)) touches \(name) at \(place.sourceLine), which was given back"))
    }
    if cell.pointee.bytes != bytes, cell.pointee.last >= 0 {
      let name = describe(cell.pointee.address)
      fail(Failure(.misuse, "\(name) is touched as \(bytes) bytes and as \(cell.pointee.bytes) at \(place.sourceLine)"))
    }
  }

  private func cell(_ address: UInt, _ bytes: Int, _ place: Place) -> Int {
    let index = table.find(address, bytes)
    checkInUse(index, bytes, place)
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

  private func touch(_ index: Int, isWrite: Bool, isRelease: Bool = false, _ place: Place) {
    if futureRead != nil { checkFuture(index) }
    let cell = table[index]
    let clock = threads[current].clock
    let verb = isRelease ? "gives back" : isWrite ? "writes" : "reads"
    check(clock, cell.pointee.plainWrites, index, "writes", verb, isRelease: isRelease, place)
    check(clock, cell.pointee.atomicWrites, index, "stores to", verb, isRelease: isRelease, place)
    if isWrite {
      check(clock, cell.pointee.plainReads, index, "reads", verb, isRelease: isRelease, place)
      check(clock, cell.pointee.atomicReads, index, "loads", verb, isRelease: isRelease, place)
      cell.pointee.plainWrites[current] = clock[current]
      // The next atomic access begins with what is written now.
      cell.pointee.last = -1
      cell.pointee.version &+= 1
    } else {
      cell.pointee.plainReads[current] = clock[current]
    }
    recorder?.touched(index, current, place)
  }

  func check(
    _ clock: Clock, _ others: Clock, _ index: Int, _ theirs: String, _ ours: String, isRelease: Bool = false, _ place: Place
  ) {
    guard !clock.includes(others), let other = clock.firstMissing(of: others) else { return }
    let there = recorder?.lastTouch(index, other).map { " at \($0)" } ?? ""
    let name = describe(table[index].pointee.address)
    let message = "\(threadName(current)) \(ours) \(name) at \(place.sourceLine), which \(threadName(other)) \(theirs)\(there), in no order"
    fail(Failure(isRelease ? .useAfterRelease : .race, message))
  }

  /// Memory is given back: whoever touches it from now on is wrong, and so is whoever may still have been touching it.
  func release(_ range: Range<UInt>, _ place: Place) {
    overwrite(range, isRelease: true, place)
    released.append(range)
    recorder?.note(current, "gives back \(describe(range.lowerBound)), \(range.count) bytes", place)
  }

  /// Memory is filled by other means, as by the system.
  func overwrite(_ range: Range<UInt>, isRelease: Bool = false, _ place: Place) {
    if isAlone { return }
    for index in 0..<table.count where range.contains(table[index].pointee.address) {
      touch(index, isWrite: true, isRelease: isRelease, place)
    }
  }

  /// Memory is mapped anew, perhaps where something was given back.
  func map(_ range: Range<UInt>) { released.removeAll { $0.overlaps(range) } }
}
