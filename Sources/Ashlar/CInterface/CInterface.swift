import CAshlar

// The C interface, under our own names; the drop-in library gives them the C library's as well.
//
// The entry of each function is the hot path, and everything out of the ordinary is a call in tail position, so that
// the entry needs no frame. Errors are those of POSIX: a null pointer and ENOMEM when memory is out, EINVAL for an
// alignment that is none. A pointer that is no live block is a fault: reported, and fatal by default.

private let ENOMEM: Int32 = 12
private let EINVAL: Int32 = 22

/// - Returns: `size` bytes aligned to 16, or null with ENOMEM. A size of 0 gets a block of its own. O(1).
@c(ashlar_malloc)
public func ashlarMalloc(_ size: UInt) -> UnsafeMutableRawPointer? {
  HotPath<HardwareMemory>.allocate(
    size, larger: { largerMalloc(size) }, otherwise: { slowMalloc(size) }, live: { mallocAfterRestoring(size, $0.value) })
}

@inline(never)
@c(internal_ashlar_malloc_larger)
func largerMalloc(_ size: UInt) -> UnsafeMutableRawPointer? {
  HotPath<HardwareMemory>.allocateLarger(
    size, otherwise: { slowMalloc(size) }, live: { mallocAfterRestoring(size, $0.value) })
}

/// Takes a block back; null is nothing to do. Leaves errno alone. O(1).
@c(ashlar_free)
public func ashlarFree(_ pointer: UnsafeMutableRawPointer?) {
  HotPath<HardwareMemory>.free(pointer, otherwise: { slowFree(pointer) })
}

@inline(never)
@c(internal_ashlar_malloc)
func slowMalloc(_ size: UInt) -> UnsafeMutableRawPointer? {
  allocateOrErrno(Request(size: Int(bitPattern: size)), ashlar_caller())
}

@inline(never)
@c(internal_ashlar_free)
func slowFree(_ pointer: UnsafeMutableRawPointer?) {
  let caller = ashlar_caller()
  HotPath<HardwareMemory>.freeByTag(pointer, otherwise: { ProcessHeap.shared?.free(UserPointer(pointer), site: Site(caller: caller)) })
}

@inline(never)
@c(internal_ashlar_malloc_after_restoring)
func mallocAfterRestoring(_ size: UInt, _ tag: UInt) -> UnsafeMutableRawPointer? {
  ProcessHeap.ready.restore(live: TagAddress(tag))
  return slowMalloc(size)
}

// Sizes above the largest Int come in as negative ones, which no request can have.
@inline(__always)
func allocateOrErrno(_ request: Request, _ caller: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
  guard let user = ProcessHeap.shared?.allocate(request, site: Site(caller: caller)) else {
    ashlar_os_set_errno(ENOMEM)
    return nil
  }
  return user.raw
}

/// - Returns: `count * size` zeroed bytes, or null with ENOMEM, also when the product overflows.
@c(ashlar_calloc)
public func ashlarCalloc(_ count: UInt, _ size: UInt) -> UnsafeMutableRawPointer? {
  let (bytes, overflow) = count.multipliedReportingOverflow(by: size)
  guard !overflow else { return outOfMemory() }
  guard let block = HotPath<HardwareMemory>.allocate(bytes, larger: { nil }, otherwise: { nil }, live: restore)
  else { return slowCalloc(bytes, ashlar_caller()) }
  block.initializeMemory(as: UInt8.self, repeating: 0, count: Int(bitPattern: bytes))
  return block
}

private func restore(_ tag: TagAddress) -> UnsafeMutableRawPointer? {
  ProcessHeap.ready.restore(live: tag)
  return nil
}

@inline(never)
private func slowCalloc(_ bytes: UInt, _ caller: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
  allocateOrErrno(Request(size: Int(bitPattern: bytes), zeroed: true), caller)
}

private func outOfMemory() -> UnsafeMutableRawPointer? {
  ashlar_os_set_errno(ENOMEM)
  return nil
}

/// Resizes a block, keeping its contents up to the smaller size. A null pointer asks for a new block. A size of 0
/// resizes to the smallest block there is.
///
/// - Returns: the block, moved or not; or null, with ENOMEM and the old block as it was, or EINVAL when a fault was
///   reported and the handler returned.
@c(ashlar_realloc)
public func ashlarRealloc(_ pointer: UnsafeMutableRawPointer?, _ size: UInt) -> UnsafeMutableRawPointer? {
  resized(pointer, size, ashlar_caller())
}

@inline(never)
private func resized(
  _ pointer: UnsafeMutableRawPointer?, _ size: UInt, _ caller: UnsafeMutableRawPointer?
) -> UnsafeMutableRawPointer? {
  guard let heap = ProcessHeap.shared else { return outOfMemory() }
  let request = Request(size: Int(bitPattern: size))
  switch heap.reallocate(UserPointer(pointer), request, site: Site(caller: caller)) {
  case .done(let user): return user.raw
  case .outOfMemory: return outOfMemory()
  case .invalid:
    ashlar_os_set_errno(EINVAL)
    return nil
  }
}

/// As `ashlar_realloc` to `count * size` bytes; null with ENOMEM when the product overflows.
@c(ashlar_reallocarray)
public func ashlarReallocarray(
  _ pointer: UnsafeMutableRawPointer?, _ count: UInt, _ size: UInt
) -> UnsafeMutableRawPointer? {
  let (bytes, overflow) = count.multipliedReportingOverflow(by: size)
  return overflow ? outOfMemory() : resized(pointer, bytes, ashlar_caller())
}

// MARK: Alignment

@inline(never)
private func aligned(
  _ alignment: UInt, _ size: UInt, _ caller: UnsafeMutableRawPointer?, _ error: inout Int32
) -> UnsafeMutableRawPointer? {
  guard let alignment = Alignment(alignment) else {
    error = EINVAL
    return nil
  }
  let request = Request(size: Int(bitPattern: size), alignment: alignment.value)
  if let block = HotPath<HardwareMemory>.allocate(request, live: restore) { return block }
  guard let user = ProcessHeap.shared?.allocate(request, site: Site(caller: caller)) else {
    error = ENOMEM
    return nil
  }
  return user.raw
}

private func alignedOrErrno(
  _ alignment: UInt, _ size: UInt, _ caller: UnsafeMutableRawPointer?
) -> UnsafeMutableRawPointer? {
  var error: Int32 = 0
  let block = aligned(alignment, size, caller, &error)
  if error != 0 { ashlar_os_set_errno(error) }
  return block
}

/// - Returns: `size` bytes aligned to `alignment`, or null, with EINVAL when that is not a power of two up to 2^40, or
///   ENOMEM. The size need not be a multiple of the alignment (C17 DR 460).
@c(ashlar_aligned_alloc)
public func ashlarAlignedAlloc(_ alignment: UInt, _ size: UInt) -> UnsafeMutableRawPointer? {
  alignedOrErrno(alignment, size, ashlar_caller())
}

/// As `ashlar_aligned_alloc`.
@c(ashlar_memalign)
public func ashlarMemalign(_ alignment: UInt, _ size: UInt) -> UnsafeMutableRawPointer? {
  alignedOrErrno(alignment, size, ashlar_caller())
}

/// Stores a block of `size` bytes aligned to `alignment` in `result`.
///
/// - Returns: 0; EINVAL when the alignment is not a power of two multiple of the size of a pointer; or ENOMEM.
///   `result` and errno are left alone on failure.
@c(ashlar_posix_memalign)
public func ashlarPosixMemalign(
  _ result: UnsafeMutablePointer<UnsafeMutableRawPointer?>?, _ alignment: UInt, _ size: UInt
) -> Int32 {
  guard alignment % UInt(MemoryLayout<UInt>.size) == 0, let result else { return EINVAL }
  var error: Int32 = 0
  guard let block = aligned(alignment, size, ashlar_caller(), &error) else { return error }
  result.pointee = block
  return 0
}

/// - Returns: `size` bytes aligned to a page, or null with ENOMEM.
@c(ashlar_valloc)
public func ashlarValloc(_ size: UInt) -> UnsafeMutableRawPointer? {
  alignedOrErrno(UInt(bitPattern: System.pageBytes), size, ashlar_caller())
}

/// As `ashlar_valloc`, with the size rounded up to whole pages.
@c(ashlar_pvalloc)
public func ashlarPvalloc(_ size: UInt) -> UnsafeMutableRawPointer? {
  let page = UInt(bitPattern: System.pageBytes)
  let (sum, overflow) = size.addingReportingOverflow(page - 1)
  return overflow ? outOfMemory() : alignedOrErrno(page, sum.roundedDown(to: page), ashlar_caller())
}

// MARK: Sized free, usable size, trim

/// As `ashlar_free`; it is a fault when the block is smaller than `size` (C23).
@c(ashlar_free_sized)
public func ashlarFreeSized(_ pointer: UnsafeMutableRawPointer?, _ size: UInt) {
  ProcessHeap.shared?.free(
    UserPointer(pointer), size: Int(bitPattern: size), operation: .sizedFree, site: Site(caller: ashlar_caller()))
}

/// As `ashlar_free_sized` (C23).
@c(ashlar_free_aligned_sized)
public func ashlarFreeAlignedSized(_ pointer: UnsafeMutableRawPointer?, _ alignment: UInt, _ size: UInt) {
  ashlarFreeSized(pointer, size)
}

/// - Returns: bytes that may be used from `pointer` on, at least what was asked for; 0 for null. It is a fault when
///   `pointer` is no live block, and 0 is returned then if the handler returns.
@c(ashlar_malloc_usable_size)
public func ashlarMallocUsableSize(_ pointer: UnsafeMutableRawPointer?) -> UInt {
  UInt(bitPattern: ProcessHeap.shared?.usableSize(UserPointer(pointer)) ?? 0)
}

/// Gives free pages back to the system. `pad` is ignored.
///
/// - Returns: 1, as the C library does when it has given memory back.
@c(ashlar_malloc_trim)
public func ashlarMallocTrim(_ pad: UInt) -> Int32 {
  ProcessHeap.shared?.trim()
  return 1
}

// MARK: Diagnostics

/// Replaces what happens on a fault, null for the default: one line on standard error, then abort().
@c(ashlar_set_fault_handler)
public func ashlarSetFaultHandler(_ handler: ashlar_fault_handler?) { Fault.handler = handler }

/// - Returns: 1 when all of the allocator's records agree. The threads must be quiet.
@c(ashlar_check_invariants)
public func ashlarCheckInvariants() -> Int32 {
  guard let heap = ProcessHeap.shared else { return 1 }
  return heap.checkInvariants() ? 1 : 0
}

/// Guards one block in `canaries` with a header and a canary, and puts one in `pages` before an inaccessible page; 0 is
/// for none, 1 for all.
@c(ashlar_guard)
public func ashlarGuard(_ canaries: UInt32, _ pages: UInt32) {
  ProcessHeap.shared?.setGuards(canaries: Int(canaries), pages: Int(pages))
}

/// Prints the counters of each level and class in use, and where free memory waits, to standard error.
@c(ashlar_print_statistics)
public func ashlarPrintStatistics() { ProcessHeap.shared?.printStatistics() }

/// Switches the recording of allocation sites on (1) or off (0).
@c(ashlar_track)
public func ashlarTrack(_ on: Int32) { ProcessHeap.shared?.setTracking(on != 0) }

/// Prints live blocks grouped by site to standard error.
///
/// - Returns: how many blocks allocated while tracking was on are live.
@c(ashlar_report_leaks)
public func ashlarReportLeaks() -> UInt { UInt(bitPattern: ProcessHeap.shared?.tracker.report() ?? 0) }
