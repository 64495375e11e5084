/// Which lines of source took ordered steps, over many executions: one after the other, not at once.
public final class Survey {
  /// Lines, with the halves of ordering that they ask for: what there is to be weakened.
  public private(set) var orderings: Set<Weakening> = []
  private var known: Set<Key> = []

  private struct Key: Hashable {
    var file: UnsafePointer<UInt8>
    var line: UInt32
    var order: UInt8
  }

  public init() {}

  func note(_ place: Place, _ order: Order) {
    guard order != .relaxed, place.line > 0, place.file.hasPointerRepresentation,
      known.insert(Key(file: place.file.utf8Start, line: place.line, order: order.rawValue)).inserted
    else { return }
    if order.acquires { orderings.insert(Weakening(at: place.sourceLine, half: .acquire)) }
    if order.releases { orderings.insert(Weakening(at: place.sourceLine, half: .release)) }
  }
}
