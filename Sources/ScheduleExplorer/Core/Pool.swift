/// Records of one execution, numbered from 0: emptied and filled again without being given back in between.
struct Pool<Record> {
  private(set) var base: UnsafeMutablePointer<Record>
  private(set) var count = 0
  private var capacity: Int

  init(capacity: Int) {
    self.capacity = capacity
    base = .allocate(capacity: capacity)
  }

  mutating func append(_ record: Record) {
    if count == capacity { grow() }
    (base + count).initialize(to: record)
    count += 1
  }

  mutating func removeAll() { removeLast(count) }

  mutating func removeLast(_ records: Int = 1) {
    count -= records
    (base + count).deinitialize(count: records)
  }

  private mutating func grow() {
    let larger = UnsafeMutablePointer<Record>.allocate(capacity: 2 * capacity)
    larger.moveInitialize(from: base, count: count)
    base.deallocate()
    base = larger
    capacity *= 2
  }

  mutating func deallocate() {
    removeAll()
    base.deallocate()
  }
}
