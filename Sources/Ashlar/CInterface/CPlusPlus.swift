#if ASHLAR_DROP_IN
  import CAshlar

  // operator new for the drop-in library; delete is free, and the C++ library's other forms forward to these. It differs from malloc in what happens when
  // memory is out: the program's new-handler is called for as long as there is one, then std::bad_alloc is thrown.

  /// operator new(size)
  @c(ashlar_new)
  public func ashlarNew(_ size: UInt) -> UnsafeMutableRawPointer? {
    HotPath<HardwareMemory>.allocate(
      size, larger: { largerNew(size) }, otherwise: { slowNew(size, ashlar_caller()) }, live: { newAfterRestoring(size, $0.value) })
  }

  @inline(never)
  @c(internal_ashlar_new_larger)
  func largerNew(_ size: UInt) -> UnsafeMutableRawPointer? {
    HotPath<HardwareMemory>.allocateLarger(
      size, otherwise: { slowNew(size, ashlar_caller()) }, live: { newAfterRestoring(size, $0.value) })
  }

  @inline(never)
  @c(internal_ashlar_new_after_restoring)
  func newAfterRestoring(_ size: UInt, _ tag: UInt) -> UnsafeMutableRawPointer? {
    ProcessHeap.ready.restore(live: TagAddress(tag))
    return slowNew(size, ashlar_caller())
  }

  @inline(never)
  @c(internal_ashlar_new)
  func slowNew(_ size: UInt, _ caller: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    while true {
      if let block = allocateOrErrno(Request(size: Int(bitPattern: size)), caller) { return block }
      guard ashlar_os_call_new_handler() != 0 else { break }
    }
    return ashlar_os_throw_bad_alloc()
  }
#endif
