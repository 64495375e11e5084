import CAshlar

/// What nearly every call does, and nothing else: no lock, no locked instruction, no system call, no call at all.
///
/// Its functions find the thread's cache (never null), a bin through its routes (never null), and give up in favour
/// of `otherwise` at the first thing out of the ordinary: a size above 1 MiB, an empty or full bin, an address that is
/// not the start of a live small block or lies in a page with blocks of several classes, a heap that has not started.
/// `scripts/hot-path` counts their instructions.
///
/// Who may touch what: the bin is the calling thread's alone. The tag is this block's alone, and a live block has one
/// owner, who is the one to free it. Two threads that free one block at the same instant break that rule; what is
/// guaranteed then is in docs/design.md.
package enum HotPath<Memory: SharedMemory> {
  /// - Parameters:
  ///   - larger: called instead for a size above 1 KiB, and where the hot path is closed: `allocateLarger` for those that
  ///     can afford it.
  ///   - otherwise: called instead when the block can't come from here.
  ///   - live: called instead when what the bin offers says live, and said free by then: `Heap.restore` puts it right.
  @inline(__always)
  package static func allocate(
    _ size: UInt,
    larger: () -> UnsafeMutableRawPointer?,
    otherwise: () -> UnsafeMutableRawPointer?,
    live: (TagAddress) -> UnsafeMutableRawPointer?
  ) -> UnsafeMutableRawPointer? {
    let cache = ThreadCache<Memory>.current
    guard cache.serves(size) else { return larger() }
    return take(from: cache.bin(routing: size), otherwise: otherwise, live: live)
  }

  /// The same for 1 KiB to 1 MiB, whose class is worked out instead of looked up.
  @inline(__always)
  package static func allocateLarger(
    _ size: UInt,
    otherwise: () -> UnsafeMutableRawPointer?,
    live: (TagAddress) -> UnsafeMutableRawPointer?
  ) -> UnsafeMutableRawPointer? {
    let routed = UInt(bitPattern: ThreadCache<Memory>.routedSize)
    guard size &- routed &- 1 < UInt(bitPattern: SizeClass.largest) &- routed else { return otherwise() }
    let bin = ThreadCache<Memory>.current.bin(SizeClass(holdingLarger: Int(bitPattern: size)))
    // Threads without a cache have one that is everybody's, and stays as it is.
    guard bin.isOpen else { return otherwise() }
    return take(from: bin, otherwise: otherwise, live: live)
  }

  /// A block of up to 1 MiB aligned to a power of two; nil when it can't come from here.
  @inline(__always)
  package static func allocate(
    _ request: Request, live: (TagAddress) -> UnsafeMutableRawPointer?
  ) -> UnsafeMutableRawPointer? {
    guard let size = request.sizeInClasses.map(UInt.init(bitPattern:)) else { return nil }
    return allocate(size, larger: { allocateLarger(size, otherwise: { nil }, live: live) }, otherwise: { nil }, live: live)
  }

  @inline(__always)
  private static func take(
    from bin: Bin<Memory>,
    otherwise: () -> UnsafeMutableRawPointer?,
    live: (TagAddress) -> UnsafeMutableRawPointer?
  ) -> UnsafeMutableRawPointer? {
    guard let tag = bin.pop() else { return otherwise() }
    // From free to live. The carry says that it was live before.
    guard !Memory.addReportingCarry(Tag.liveBit, to: tag.byte) else {
      // A copy, so that the usual way has the register of the result for its own.
      return live(TagAddress(ashlar_copied(tag.value)))
    }
    return UnsafeMutableRawPointer(bitPattern: tag.value &<< RegionLayout.granuleShift &+ Memory.globals.pointee.blocks)
  }

  /// - Parameter otherwise: called instead when the block can't be taken here: `freeByTag` for those that can afford it.
  @inline(__always)
  package static func free(_ pointer: UnsafeMutableRawPointer?, otherwise: () -> Void) {
    guard let (tag, granule) = find(pointer) else { return otherwise() }
    // The page knows the class, and is at hand where the tag of a block may not be: what is stored next has an address that
    // the processor need not wait for.
    let page = Int(bitPattern: granule &>> RegionLayout.pageGranulesShift)
    let route = Memory.load(Region<Memory>.route(ofPage: page, before: Memory.globals.pointee.tags.unsafelyUnwrapped))
    let bin = ThreadCache<Memory>.current.bin(at: route)
    guard Tag(Memory.load(tag.byte)).isLive, let room = bin.room else { return otherwise() }
    release(tag, into: bin, room)
    ashlar_will_write(UInt(bitPattern: pointer))
  }

  /// The same for a block in a page with blocks of several classes (`Slab.lend`), whose bin its tag names.
  @inline(__always)
  package static func freeByTag(_ pointer: UnsafeMutableRawPointer?, otherwise: () -> Void) {
    guard let (tag, _) = find(pointer), case let value = Tag(Memory.load(tag.byte)), value.isLive, let sizeClass = value.sizeClass,
      case let bin = ThreadCache<Memory>.current.bin(sizeClass), let room = bin.room
    else { return otherwise() }
    release(tag, into: bin, room)
  }

  // The tag of what would begin at an address of the region, and its granule.
  @inline(__always)
  private static func find(_ pointer: UnsafeMutableRawPointer?) -> (tag: TagAddress, granule: UInt)? {
    let offset = UInt(bitPattern: pointer) &- Memory.globals.pointee.region_base
    // Rotating puts the bits of a misaligned address on top, out of range: one comparison for both tests.
    let granule = (offset &>> RegionLayout.granuleShift) | (offset &<< (64 &- RegionLayout.granuleShift))
    guard granule < Memory.globals.pointee.region_granules else { return nil }
    let tags = Memory.globals.pointee.tags.unsafelyUnwrapped
    return (TagAddress(ashlar_settled(UInt(bitPattern: tags) &+ granule)), granule)
  }

  @inline(__always)
  private static func release(_ tag: TagAddress, into bin: Bin<Memory>, _ room: SharedWord) {
    // Of two threads that free it at this instant both say free: were it added, the second one would make it live again, and lost.
    Memory.clear(Tag.liveBit, in: tag.byte)
    bin.push(tag, to: room)
  }
}
