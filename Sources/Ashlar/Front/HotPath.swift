import CAshlar

/// What nearly every call does, and nothing else: no lock, no locked instruction, no system call, no call at all.
///
/// Both functions find the thread's cache (never null), a bin through its routes (never null), and give up in favour
/// of `otherwise` at the first thing out of the ordinary: a size above 1 KiB, an empty or full bin, an address that is
/// not the start of a live small block, a heap that has not started. `scripts/hot-path` counts their instructions.
///
/// Who may touch what: the bin is the calling thread's alone. The tag is this block's alone, and a live block has one
/// owner, who is the one to free it. Two threads that free one block at the same instant break that rule; what is
/// guaranteed then is in docs/design.md.
package enum HotPath<Memory: SharedMemory> {
  /// - Parameters:
  ///   - larger: called instead for a size above 1 KiB: `allocateLarger` for those that can afford it.
  ///   - otherwise: called instead when the block can't come from here.
  ///   - twice: called when the block at hand is live already, with its address.
  @inline(__always)
  package static func allocate(
    _ size: UInt,
    larger: () -> UnsafeMutableRawPointer?,
    otherwise: () -> UnsafeMutableRawPointer?,
    twice: (UInt) -> UnsafeMutableRawPointer?
  ) -> UnsafeMutableRawPointer? {
    guard size <= UInt(bitPattern: ThreadCache<Memory>.routedSize) else { return larger() }
    return take(from: ThreadCache<Memory>.current.bin(routing: size), otherwise: otherwise, twice: twice)
  }

  /// The same for 1 KiB to 1 MiB, whose class is worked out instead of looked up.
  @inline(__always)
  package static func allocateLarger(
    _ size: UInt,
    otherwise: () -> UnsafeMutableRawPointer?,
    twice: (UInt) -> UnsafeMutableRawPointer?
  ) -> UnsafeMutableRawPointer? {
    guard size <= UInt(bitPattern: SizeClass.largest) else { return otherwise() }
    let sizeClass = SizeClass(holdingLarger: Int(bitPattern: size))
    return take(from: ThreadCache<Memory>.current.bin(routing: Tag.free(sizeClass).live), otherwise: otherwise, twice: twice)
  }

  @inline(__always)
  private static func take(
    from bin: Bin<Memory>,
    otherwise: () -> UnsafeMutableRawPointer?,
    twice: (UInt) -> UnsafeMutableRawPointer?
  ) -> UnsafeMutableRawPointer? {
    guard let address = bin.pop() else { return otherwise() }
    guard turnLive(address) else { return twice(address) }
    return UnsafeMutableRawPointer(bitPattern: address)
  }

  /// From free to live. The carry out of the addition says that the block was live before.
  @inline(__always)
  private static func turnLive(_ address: UInt) -> Bool {
    let tags = Memory.globals.pointee.tags_by_address.unsafelyUnwrapped
    let tag = SharedByte(tags + Int(bitPattern: address &>> RegionLayout.granuleShift))
    return !Memory.addReportingCarry(Tag.liveBit, to: tag)
  }

  /// - Parameter otherwise: called instead when the block can't be taken here.
  @inline(__always)
  package static func free(_ pointer: UnsafeMutableRawPointer?, otherwise: () -> Void) {
    let offset = UInt(bitPattern: pointer) &- Memory.globals.pointee.region_base
    // Rotating puts the bits of a misaligned address on top, out of range: one comparison for both tests.
    let granule = (offset &>> RegionLayout.granuleShift) | (offset &<< (64 &- RegionLayout.granuleShift))
    guard granule < Memory.globals.pointee.region_granules else { return otherwise() }
    let tag = SharedByte(Memory.globals.pointee.tags.unsafelyUnwrapped + Int(bitPattern: granule))
    let value = Memory.load(tag)
    let bin = ThreadCache<Memory>.current.bin(routing: Tag(value))
    let count = bin.count
    guard count < bin.capacity else { return otherwise() }
    Memory.store(value ^ Tag.liveBit, to: tag)
    bin.count = count &+ 1
    bin[count] = UInt(bitPattern: pointer)
  }
}
