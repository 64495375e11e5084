/// Loads and stores that several threads may do at once.
///
/// Every cell has a history of stores in modification order. A store carries what a thread that acquires it learns. A
/// thread may read any store that is not older than one it knows, where it knows those that it has seen and those that
/// were seen by whatever happened before its step (coherence).
extension Engine {
  private var now: UInt32 { threads[current].clock[current] }

  // What stands after the step is no part of what the step published.
  private func tick() { threads[current].clock[current] &+= 1 }

  func effective(_ order: Order, _ place: Place) -> Order {
    survey?.note(place, order)
    guard let weakening, weakening.covers(place) else { return order }
    return order.without(weakening.half)
  }

  /// The history of a cell, begun with what the memory holds if it has none yet.
  private func open(_ index: Int, _ bytes: Int, _ place: Place, isWrite: Bool) {
    if futureRead != nil { checkFuture(index) }
    checkInUse(index, bytes, place)
    let clock = threads[current].clock
    check(clock, table[index].pointee.plainWrites, index, "writes", isWrite ? "stores to" : "loads", place)
    if isWrite { check(clock, table[index].pointee.plainReads, index, "reads", "stores to", place) }
    if table[index].pointee.last < 0 {
      table[index].pointee.bytes = bytes
      let (value, second) = Self.read(table[index].pointee.address, bytes)
      var store = Store(value: value, second: second, previous: -1)
      store.seen[0] = 0
      stores.append(store)
      table[index].pointee.last = Int32(stores.count - 1)
    }
    table[index].pointee.atomicReads[current] = clock[current]
    if isWrite { table[index].pointee.atomicWrites[current] = clock[current] }
    recorder?.touched(index, current, place)
  }

  // What the memory itself holds: always the last store in modification order.
  private static func read(_ address: UInt, _ bytes: Int) -> (UInt, UInt) {
    let address = UnsafeRawPointer(bitPattern: address).unsafelyUnwrapped
    switch bytes {
    case 1: return (UInt(address.load(as: UInt8.self)), 0)
    case 2: return (UInt(address.load(as: UInt16.self)), 0)
    case 16: return (address.load(as: UInt.self), address.load(fromByteOffset: 8, as: UInt.self))
    default: return (address.load(as: UInt.self), 0)
    }
  }

  private static func write(_ address: UInt, _ bytes: Int, _ value: UInt, _ second: UInt) {
    let address = UnsafeMutableRawPointer(bitPattern: address).unsafelyUnwrapped
    switch bytes {
    case 1: address.storeBytes(of: UInt8(truncatingIfNeeded: value), as: UInt8.self)
    case 2: address.storeBytes(of: UInt16(truncatingIfNeeded: value), as: UInt16.self)
    case 16:
      address.storeBytes(of: value, as: UInt.self)
      address.storeBytes(of: second, toByteOffset: 8, as: UInt.self)
    default: address.storeBytes(of: value, as: UInt.self)
    }
  }

  // MARK: Choose a store

  // What an access of a cell may not fall behind: what happened before it, and for one of sequential order also what the
  // fences and the stores of that order have published.
  private func floor(_ index: Int, _ order: Order) -> Clock {
    var floor = threads[current].clock
    if order.isSequential {
      floor.join(sequence)
      floor.join(table[index].pointee.sequence)
    }
    return floor
  }

  // The stores that are not behind the floor and pass, latest first. Always at least one where the latest passes.
  private func choose(_ index: Int, _ floor: Clock, _ passes: (Int32) -> Bool) -> Int32 {
    let latest = table[index].pointee.last
    guard memory.isWeak else { return latest }
    var count = 0
    var store = latest
    while store >= 0 {
      let record = stores.base + Int(store)
      if count < 256, passes(store) {
        candidates[count] = store
        count += 1
      }
      if floor.touches(record.pointee.seen) { break }
      store = record.pointee.previous
    }
    let chosen = candidates[count > 1 && current > 0 ? chooser.chooseValue(count) : 0]
    return chosen
  }

  // C11 wants stores to be seen in finite time.
  private func isFresh(_ store: Int32, _ latest: Int32) -> Bool {
    store == latest || stores.base[Int(store)].staleReads[current] < memory.staleReads
  }

  private func see(_ store: Int32, _ index: Int) {
    let record = stores.base + Int(store)
    if record.pointee.seen[current] > now { record.pointee.seen[current] = now }
    let isStale = store != table[index].pointee.last
    if isStale { record.pointee.staleReads[current] &+= 1 }
    if isStale || !readSets[current].note(Int32(index), table[index].pointee.version) { threads[current].mayProceed = true }
  }

  private func learn(_ message: Clock, _ order: Order) {
    if order.acquires { threads[current].clock.join(message) } else { threads[current].unacquired.join(message) }
  }

  private func publishSequential(_ index: Int, _ order: Order) {
    guard order.isSequential else { return }
    table[index].pointee.sequence.join(threads[current].clock)
    sequentialStores[current] = now
  }

  // MARK: Load

  func load(_ address: UInt, _ bytes: Int, _ order: Order, _ place: Place) -> (UInt, UInt) {
    if isAlone { return Self.read(address, bytes) }
    let index = table.find(address, bytes)
    step(.load, index, isWrite: false, isSequential: order.isSequential, place)
    let order = effective(order, place)
    open(index, bytes, place, isWrite: false)
    let latest = table[index].pointee.last
    if let (value, second) = readFuture(index, order, place) {
      if !readSets[current].note(Int32(index), table[index].pointee.version) { threads[current].mayProceed = true }
      tick()
      recorder?.loadAhead(current, index, self, value, second, order, place)
      return (value, second)
    }
    let store = choose(index, floor(index, order)) { isFresh($0, latest) }
    see(store, index)
    let record = stores.base[Int(store)]
    learn(record.message, order)
    tick()
    recorder?.load(current, index, self, record, isStale: store != table[index].pointee.last, order, place)
    return (record.value, record.second)
  }

  // MARK: Store

  func store(_ value: UInt, _ address: UInt, _ bytes: Int, _ order: Order, _ place: Place) {
    if isAlone { return Self.write(address, bytes, value, 0) }
    let index = table.find(address, bytes)
    step(.store, index, isWrite: true, isSequential: order.isSequential, place)
    let order = effective(order, place)
    open(index, bytes, place, isWrite: true)
    let below =
      memory.storesAnywhere ? choose(index, floor(index, order)) { !stores.base[Int($0)].isTaken } : table[index].pointee.last
    insert(Store(value: value, previous: below), index, message(order))
    publishSequential(index, order)
    tick()
    recorder?.store(current, index, self, value, 0, order, place)
  }

  private func message(_ order: Order) -> Clock { order.releases ? threads[current].clock : threads[current].fenced }

  // Right above `previous` in modification order.
  private func insert(_ record: Store, _ index: Int, _ message: Clock) {
    var record = record
    record.message.join(message)
    record.seen[current] = now
    if memory.readsFuture { meetFuture(index, &record) }
    let latest = table[index].pointee.last
    stores.append(record)
    let number = Int32(stores.count - 1)
    if record.previous == latest {
      table[index].pointee.last = number
      Self.write(table[index].pointee.address, table[index].pointee.bytes, record.value, record.second)
    } else {
      var above = latest
      while stores.base[Int(above)].previous != record.previous { above = stores.base[Int(above)].previous }
      stores.base[Int(above)].previous = number
    }
    let version = table[index].pointee.version
    table[index].pointee.version = version &+ 1
    readSets[current].renew(Int32(index), from: version, to: version &+ 1)
  }

  // MARK: Read and write in one step

  /// Reads a store and puts another right behind it, or with nil from `change` leaves it at the load.
  func update(
    _ address: UInt, _ bytes: Int, _ order: Order, _ place: Place, _ change: (UInt, UInt) -> (UInt, UInt)?
  ) -> (UInt, UInt) {
    if isAlone {
      let found = Self.read(address, bytes)
      if let (value, second) = change(found.0, found.1) { Self.write(address, bytes, value, second) }
      return found
    }
    let index = table.find(address, bytes)
    step(.update, index, isWrite: true, isSequential: order.isSequential, place)
    let order = effective(order, place)
    open(index, bytes, place, isWrite: false)
    let latest = table[index].pointee.last
    let below = choose(index, floor(index, order)) { store in
      let record = stores.base[Int(store)]
      if change(record.value, record.second) == nil { return isFresh(store, latest) }
      return !record.isTaken && (store == latest || memory.storesAnywhere)
    }
    see(below, index)
    let found = stores.base[Int(below)]
    learn(found.message, order)
    if let (value, second) = change(found.value, found.second) {
      open(index, bytes, place, isWrite: true)
      stores.base[Int(below)].isTaken = true
      var record = Store(value: value, second: second, previous: below)
      record.message = found.message
      insert(record, index, message(order))
      publishSequential(index, order)
      recorder?.update(current, index, self, found, value, second, order, place)
    } else {
      recorder?.failedUpdate(current, index, self, found, isStale: below != latest, order, place)
    }
    tick()
    return (found.value, found.second)
  }

  // MARK: Fences

  func fence(_ order: Order, _ place: Place) {
    if isAlone { return }
    if order.isSequential { step(.update, CellTable.fences, isWrite: true, place) }
    let order = effective(order, place)
    // A load before the fence has its value by then.
    if order.acquires, futureRead?.thread == current { abandonFuture() }
    if order.acquires { threads[current].clock.join(threads[current].unacquired) }
    if order.isSequential {
      threads[current].clock.join(sequence)
      threads[current].clock.join(sequentialStores)
      sequence = threads[current].clock
    }
    if order.releases { threads[current].fenced = threads[current].clock }
    if order.releases { tick() }
    recorder?.note(current, "fence, \(order)", place)
  }
}
