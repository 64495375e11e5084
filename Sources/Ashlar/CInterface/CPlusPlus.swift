#if ASHLAR_DROP_IN
  import CAshlar

  // operator new and delete for the drop-in library. Delete is free; new differs from malloc in what happens when
  // memory is out: the program's new-handler is called for as long as there is one, then std::bad_alloc is thrown.

  /// operator new(size), new[](size)
  @c(ashlar_new)
  public func ashlarNew(_ size: UInt) -> UnsafeMutableRawPointer? {
    HotPath.allocate(
      size, larger: { largerNew(size) }, otherwise: { slowNew(size, 1) }, twice: { newAfterHandingOutTwice($0, size) })
  }

  @inline(never)
  @c(internal_ashlar_new_larger)
  func largerNew(_ size: UInt) -> UnsafeMutableRawPointer? {
    HotPath.allocateLarger(
      size, otherwise: { slowNew(size, 1) }, twice: { newAfterHandingOutTwice($0, size) })
  }

  /// operator new(size, align), new[](size, align)
  @c(ashlar_new_aligned)
  public func ashlarNewAligned(_ size: UInt, _ alignment: UInt) -> UnsafeMutableRawPointer? {
    slowNew(size, alignment)
  }

  /// operator new(size, align, nothrow), new[](size, align, nothrow)
  @c(ashlar_new_aligned_nothrow)
  public func ashlarNewAlignedNothrow(_ size: UInt, _ alignment: UInt) -> UnsafeMutableRawPointer? {
    ashlarAlignedAlloc(alignment, size)
  }

  @inline(never)
  @c(internal_ashlar_new_after_twice)
  func newAfterHandingOutTwice(_ address: UInt, _ size: UInt) -> UnsafeMutableRawPointer? {
    Heap.ready.pointee.refuseHandingOutTwice(BlockBase(address: address))
    return slowNew(size, 1)
  }

  @inline(never)
  @c(internal_ashlar_new)
  func slowNew(_ size: UInt, _ alignment: UInt) -> UnsafeMutableRawPointer? {
    while true {
      let block = alignment <= 16 ? slowMalloc(size) : ashlarAlignedAlloc(alignment, size)
      if let block { return block }
      guard ashlar_os_call_new_handler() != 0 else { break }
    }
    return ashlar_os_throw_bad_alloc()
  }
#endif
