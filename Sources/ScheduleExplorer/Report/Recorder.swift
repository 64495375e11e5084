/// Writes down what an execution does, for a person to read. Only where an execution is to be shown: it takes its time.
final class Recorder {
  struct Row {
    var thread: Int
    var text: String
    var place: Place
  }

  private(set) var rows: [Row] = []
  private var names: [(range: Range<UInt>, name: String)] = []
  private var touches: [Int: [Int: SourceLine]] = [:]

  func begin() {
    rows.removeAll()
    names.removeAll()
    touches.removeAll()
  }

  func setName(_ name: String, _ range: Range<UInt>) { names.append((range, name)) }

  func name(_ address: UInt) -> String? {
    guard let found = names.last(where: { $0.range.contains(address) }) else { return nil }
    let offset = address - found.range.lowerBound
    return offset == 0 ? found.name : "\(found.name)+\(offset)"
  }

  func touched(_ cell: Int, _ thread: Int, _ place: Place) { touches[cell, default: [:]][thread] = place.sourceLine }
  func lastTouch(_ cell: Int, _ thread: Int) -> SourceLine? { touches[cell]?[thread] }

  func note(_ thread: Int, _ text: String, _ place: Place) { rows.append(Row(thread: thread, text: text, place: place)) }

  // MARK: Words for a step

  private func show(_ value: UInt) -> String {
    if let name = name(value) { return name }
    return value < 1 << 16 ? String(value) : "0x" + String(value, radix: 16)
  }

  private func show(_ store: (UInt, UInt), _ bytes: Int) -> String {
    bytes == 16 ? "(\(show(store.0)), \(show(store.1)))" : show(store.0)
  }

  private func cell(_ index: Int, _ engine: Engine) -> (name: String, bytes: Int) {
    let cell = engine.table[index].pointee
    return (name(cell.address) ?? "0x" + String(cell.address, radix: 16), cell.bytes)
  }

  private func mark(_ order: Order) -> String {
    switch order {
    case .relaxed: ""
    case .acquiring: " acq"
    case .releasing: " rel"
    case .acquiringAndReleasing: " acq rel"
    case .sequential: " seq"
    }
  }

  func load(_ thread: Int, _ index: Int, _ engine: Engine, _ store: Store, isStale: Bool, _ order: Order, _ place: Place) {
    let (name, bytes) = cell(index, engine)
    note(thread, "load\(mark(order)) \(name) → \(show((store.value, store.second), bytes))\(isStale ? " (not the latest)" : "")", place)
  }

  func loadAhead(_ thread: Int, _ index: Int, _ engine: Engine, _ value: UInt, _ second: UInt, _ order: Order, _ place: Place) {
    let (name, bytes) = cell(index, engine)
    note(thread, "load\(mark(order)) \(name) → \(show((value, second), bytes)) (yet to be stored)", place)
  }

  func store(_ thread: Int, _ index: Int, _ engine: Engine, _ value: UInt, _ second: UInt, _ order: Order, _ place: Place) {
    let (name, bytes) = cell(index, engine)
    note(thread, "store\(mark(order)) \(name) ← \(show((value, second), bytes))", place)
  }

  func update(
    _ thread: Int, _ index: Int, _ engine: Engine, _ found: Store, _ value: UInt, _ second: UInt, _ order: Order, _ place: Place
  ) {
    let (name, bytes) = cell(index, engine)
    note(thread, "swap\(mark(order)) \(name): \(show((found.value, found.second), bytes)) ⇒ \(show((value, second), bytes))", place)
  }

  func failedUpdate(_ thread: Int, _ index: Int, _ engine: Engine, _ found: Store, isStale: Bool, _ order: Order, _ place: Place) {
    let (name, bytes) = cell(index, engine)
    note(thread, "no swap\(mark(order)) \(name): found \(show((found.value, found.second), bytes))\(isStale ? " (not the latest)" : "")", place)
  }

  func plain(_ thread: Int, _ address: UInt, _ bytes: Int, _ isWrite: Bool, _ place: Place) {
    note(thread, "\(isWrite ? "write" : "read") \(name(address) ?? "0x" + String(address, radix: 16))", place)
  }
}
