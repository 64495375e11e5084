import CAshlar

/// The one seam to the operating system.
///
/// Every call that can fail goes through here, is counted, and can be made to fail: see `SystemFaults`. Each
/// answers success or failure and leaves `errno` alone. Thread-safe.
package enum System {
  /// Bytes of a page of memory, a power of two.
  package static var pageBytes: Int { Int(ashlar_os_page_bytes()) }

  /// Maps fresh zeroed memory, readable and writable; nil when the system refuses.
  package static func map(_ bytes: Int) -> UnsafeMutableRawPointer? {
    mapping(bytes, readable: true, writable: true)
  }

  /// Reserves address space. What is not `writable` costs no commit charge until `makeWritable`.
  package static func reserve(_ bytes: Int, readable: Bool, writable: Bool) -> UnsafeMutableRawPointer? {
    mapping(bytes, readable: readable, writable: writable)
  }

  private static func mapping(_ bytes: Int, readable: Bool, writable: Bool) -> UnsafeMutableRawPointer? {
    SystemFaults.permit() ? ashlar_os_map(bytes, readable, writable) : nil
  }

  /// Gives a mapping, or whole pages of one, back: at once, or where the system refuses (too many mappings), their
  /// contents at once and their addresses as soon as it takes them.
  package static func unmap(_ address: UnsafeMutableRawPointer, _ bytes: Int) {
    if tryUnmap(address, bytes) {
      PendingUnmaps.retry(tryUnmap)
    } else {
      _ = purge(address, bytes)
      PendingUnmaps.add(address, bytes)
    }
  }

  private static func tryUnmap(_ address: UnsafeMutableRawPointer, _ bytes: Int) -> Bool {
    SystemFaults.permit() && ashlar_os_unmap(address, bytes) == 0
  }

  /// Lets reserved pages be written.
  package static func makeWritable(_ address: UnsafeMutableRawPointer, _ bytes: Int) -> Bool {
    SystemFaults.permit() && ashlar_os_protect(address, bytes, true) == 0
  }

  /// Drops the contents of whole pages: they take no memory and read as zero until written again.
  package static func purge(_ address: UnsafeMutableRawPointer, _ bytes: Int) -> Bool {
    SystemFaults.permit() && ashlar_os_purge(address, bytes) == 0
  }

  /// Drops the contents of whole pages, and makes any access to them a fault until `makeWritable`.
  package static func forbid(_ address: UnsafeMutableRawPointer, _ bytes: Int) -> Bool {
    SystemFaults.permit() && ashlar_os_forbid(address, bytes) == 0
  }

  /// Asks for huge pages; advice only, so failure is no error.
  package static func adviseHugePages(_ address: UnsafeMutableRawPointer, _ bytes: Int) {
    if SystemFaults.permit() { _ = ashlar_os_huge_pages(address, bytes) }
  }

  /// Resizes a mapping, moving it if need be, onto another that it takes the place of where there is one; nil when the
  /// system refuses, both then untouched.
  package static func remap(
    _ address: UnsafeMutableRawPointer, from old: Int, to new: Int, onto place: UnsafeMutableRawPointer? = nil
  ) -> UnsafeMutableRawPointer? {
    SystemFaults.permit() ? ashlar_os_remap(address, old, new, place) : nil
  }

  /// Moves whole pages to others, whose contents are lost; those that they leave stay mapped, take no memory and read as zero.
  /// False when the system refuses, which then has changed nothing.
  package static func carry(_ pages: UnsafeMutableRawPointer, _ bytes: Int, to place: UnsafeMutableRawPointer) -> Bool {
    SystemFaults.permit() && ashlar_os_carry(pages, bytes, place) == 0
  }

  // MARK: Nodes of memory (NUMA)

  // A set of nodes is `nodeWords` words, a bit each.
  package static var nodeWords: Int { Int(ASHLAR_NODE_WORDS) }

  /// Says on which nodes whole pages are to lie that have not been touched; `nodes` are none for a mode that takes none.
  package static func setPlacement(
    _ address: UnsafeMutableRawPointer, _ bytes: Int, mode: Int32, nodes: UnsafePointer<UInt>
  ) -> Bool {
    SystemFaults.permit() && ashlar_os_set_placement(address, bytes, mode, nodes) == 0
  }

  /// The mode of what an address lies in, its nodes stored; nil when nothing is mapped there.
  package static func placement(_ address: UnsafeMutableRawPointer, nodes: UnsafeMutablePointer<UInt>) -> Int32? {
    var mode: Int32 = 0
    return SystemFaults.permit() && ashlar_os_placement(address, &mode, nodes) == 0 ? mode : nil
  }

  /// Stores the nodes that the process may use.
  package static func allowedNodes(_ nodes: UnsafeMutablePointer<UInt>) -> Bool {
    SystemFaults.permit() && ashlar_os_allowed_nodes(nodes) == 0
  }

  /// Stores the node that each page lies on, negative for one that was not touched.
  package static func nodes(
    ofPages pages: UnsafeMutablePointer<UnsafeMutableRawPointer?>, _ nodes: UnsafeMutablePointer<Int32>, _ count: Int
  ) -> Bool {
    SystemFaults.permit() && ashlar_os_nodes_of_pages(pages, nodes, count) == 0
  }

  package static func yield() { ashlar_os_yield() }

  /// Milliseconds of a clock that never goes back, a few milliseconds exact.
  package static var milliseconds: UInt { UInt(ashlar_os_milliseconds()) }

  /// A word that differs from process to process.
  package static var random: UInt { UInt(ashlar_os_random()) }
}

/// Makes the Nth memory call to the system fail, for proving that its failure is survived.
///
/// Process-wide; meant for one test at a time.
package enum SystemFaults {
  private static var calls: SharedWord { SharedWord(ashlar_system_calls_word()) }
  private static var failCall: SharedWord { SharedWord(ashlar_fail_call_word()) }
  private static var failOnwards: SharedWord { SharedWord(ashlar_fail_onwards_word()) }

  /// Memory calls made to the system since the process began.
  package static var callCount: Int { Int(bitPattern: HardwareMemory.load(calls)) }

  /// Fails the `n`th call from now (1 is the next), and with `onwards` every later one too.
  package static func fail(call n: Int, onwards: Bool) {
    HardwareMemory.store(onwards ? 1 : 0, to: failOnwards)
    HardwareMemory.store(HardwareMemory.load(calls) &+ UInt(bitPattern: n), to: failCall)
  }

  /// Ends the failing.
  package static func lift() { HardwareMemory.store(0, to: failCall) }

  static func permit() -> Bool {
    let number = HardwareMemory.add(1, to: calls) &+ 1
    let failing = HardwareMemory.load(failCall)
    if failing == 0 || number < failing { return true }
    return number != failing && HardwareMemory.load(failOnwards) == 0
  }
}
