/// Loads that return a store of their own future.
///
/// A processor may take a store before an earlier load that it does not depend on, so that the load returns what others
/// stored because of that store. Executions go the other way: the load returns a value that somebody stored at that place in
/// an execution without such loads, and goes on; when another thread stores that value there, the two are one. Nothing may
/// have told that thread of the load (happens before), nor may anybody who knows of the load have touched the cell
/// meanwhile (coherence). An execution in which no such store comes is none, whatever became of it.
///
/// That a value is stored in executions without stands in for what C11 leaves open: values out of thin air are none.
extension Engine {
  /// What a load returned ahead of its store.
  struct FutureRead {
    var cell: Int
    var value: UInt
    var second: UInt
    var thread: Int
    var time: UInt32
  }

  /// A value to return now for a store that is to come; nil to return one that is there.
  func readFuture(_ index: Int, _ order: Order, _ place: Place) -> (UInt, UInt)? {
    guard memory.readsFuture, !order.acquires, current > 0, !hasReadFuture, let spot = spot(of: index) else { return nil }
    let time = threads[current].clock[current]
    let stores = gathered.stores(at: spot).filter { $0.thread != current && !isReadable($0, index) }
    guard let found = chooser.chooseFuture(stores) else { return nil }
    hasReadFuture = true
    futureRead = FutureRead(cell: index, value: found.value, second: found.second, thread: current, time: time)
    return (found.value, found.second)
  }

  // Where a cell lies in memory that has a name: addresses may differ from execution to execution.
  private func spot(of index: Int) -> GatheredStores.Spot? {
    let address = table[index].pointee.address
    guard let range = named.firstIndex(where: { $0.contains(address) }) else { return nil }
    return GatheredStores.Spot(range: range, offset: address - named[range].lowerBound)
  }

  // What is there already needs no future.
  private func isReadable(_ wanted: GatheredStore, _ index: Int) -> Bool {
    var store = table[index].pointee.last
    while store >= 0 {
      let record = stores.base + Int(store)
      if record.pointee.value == wanted.value, record.pointee.second == wanted.second { return true }
      if threads[current].clock.touches(record.pointee.seen) { return false }
      store = record.pointee.previous
    }
    return false
  }

  /// The running thread touches a cell: whoever knows of a load that is still without its store must not.
  func checkFuture(_ index: Int) {
    guard let read = futureRead, read.cell == index, threads[current].clock[read.thread] >= read.time else { return }
    abandonFuture()
  }

  /// A store that is about to be made may be the one that was waited for.
  func meetFuture(_ index: Int, _ store: inout Store) {
    if !hasReadFuture, !gathered.isClosed, let spot = spot(of: index) { gathered.note(spot, GatheredStore(store, current)) }
    guard let read = futureRead, read.cell == index, read.thread != current, read.value == store.value, read.second == store.second
    else { return }
    store.seen[read.thread] = read.time
    threads[read.thread].unacquired.join(store.message)
    futureRead = nil
  }

  /// No store will do. The execution goes on all the same: its steps show the search which orders there are to be tried.
  func abandonFuture() {
    futureRead = nil
    isUnfounded = true
  }

  /// The running thread has failed. It goes no further; the others do, for that the store comes decides whether it counts.
  func failAhead(_ failure: Failure) {
    if failureAhead == nil { failureAhead = failure }
    threads[current].status = .gone
    while true { goTo(decide()) }
  }
}

/// A store of an execution without loads of their future.
struct GatheredStore: Hashable {
  var value: UInt
  var second: UInt
  var thread: Int

  init(_ store: Store, _ thread: Int) {
    value = store.value
    second = store.second
    self.thread = thread
  }
}

/// The stores of a search, by their spot, each value of a thread once and in the order in which they were found.
struct GatheredStores {
  /// A place in named memory: which name, in the order in which they were given, and how far from its start.
  struct Spot: Hashable {
    var range: Int
    var offset: UInt
  }

  private var bySpot: [Spot: [GatheredStore]] = [:]
  /// The search that reads them must find the same ones all the time.
  var isClosed = false

  func stores(at spot: Spot) -> [GatheredStore] { isClosed ? bySpot[spot] ?? [] : [] }

  mutating func note(_ spot: Spot, _ store: GatheredStore) {
    if bySpot[spot]?.contains(store) != true { bySpot[spot, default: []].append(store) }
  }
}
