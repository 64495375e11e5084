/// What is known of one guarded block.
///
/// `base … zone before … user's bytes … zone behind …`: the zones hold canaries.
package struct GuardRecord {
  package var user: UInt
  /// Bytes that the user asked for, and may use.
  package var size: Int
  /// Bytes from the base to the user's first.
  package var offset: UInt
  /// First address behind the memory that the block lies in.
  package var end: UInt
  package var level: Level
  /// The tag of the memory that the block lies in, free; `none` outside the region.
  package var tag: Tag
  package var allocated: Site
  package var freed = Site.unknown
  package var isFree = false
  /// Whether damage to it has been reported.
  var isReported = false
  /// The block freed after this one; 0 for none.
  var nextFreed: UInt = 0

  package init(user: UserPointer, size: Int, offset: UInt, end: UInt, level: Level, tag: Tag, allocated: Site) {
    self.user = user.address
    self.size = size
    self.offset = offset
    self.end = end
    self.level = level
    self.tag = tag
    self.allocated = allocated
  }

  package var base: BlockBase { BlockBase(UserPointer(UnsafeMutableRawPointer(bitPattern: user)), offset: offset) }
  package var bytes: Range<UInt> { user..<(user &+ UInt(bitPattern: size)) }
  package var zoneBefore: Range<UInt> { (user &- min(offset, Canary.zoneBytes))..<user }
  package var zoneBehind: Range<UInt> { bytes.upperBound..<min(end, bytes.upperBound &+ Canary.zoneBytes) }

  /// Damage, as the fault that reports it; nil when there is none. The memory may not be in use meanwhile, except that
  /// its user may write where he may.
  package func damage(_ canary: Canary, found operation: Operation) -> Fault? {
    if let change = canary.firstChange(in: zoneBefore) { return fault(.underflow, operation, at: change) }
    if let change = canary.firstChange(in: zoneBehind) { return fault(.overflow, operation, at: change) }
    guard isFree, let change = Canary.firstChange(inFreed: bytes) else { return nil }
    return fault(.writeAfterFree, operation, at: change)
  }

  /// A fault of this block; `place` is the address that was changed or accessed.
  package func fault(_ kind: Fault.Kind, _ operation: Operation, at place: UInt? = nil) -> Fault {
    var fault = Fault(operation: operation, kind: kind, address: user, state: isFree ? "freed, guarded" : "live, guarded", level: level)
    fault.blockSize = size
    fault.offset = place.map { Int(bitPattern: $0 &- user) }
    fault.allocated = allocated
    fault.freed = freed
    return fault
  }
}
