import Ashlar

extension Check {
  static let freshRefusals = Check(
    "fresh-refusals", "a heap's start and its first blocks of every level, with each system call refused, in every mode"
  ) { context in
    // The parts, and the memory of their states; a smaller region is had where the one between them is refused.
    let isStrict = ProcessHeap.shared?.switches.strict ?? false
    for call in isStrict ? [1] : [1, 3] { refusedStarts(context, modes[0].switches, call: call) }
    refusedPages(context)
    for mode in modes {
      for call in 1...12 {
        for onwards in [false, true] {
          refuse(call, onwards, mode, "\(mode.name), call \(call)\(onwards ? " and all later ones" : "")", context)
          context.count(1)
        }
      }
    }
  }

  // A start that is refused leaves no address space behind.
  private static func refusedStarts(_ context: CheckContext, _ switches: Switches, call: Int) {
    refuseOften(call, "a start refused at call \(call)", context) { !OwnHeap.with(switches) { _ in } }
  }

  // The guard pages take two calls, the records' and their own.
  private static func refusedPages(_ context: CheckContext) {
    let made = OwnHeap.with(modes[0].switches) { heap in
      refuseOften(2, "guard pages refused", context) {
        heap.setGuards(canaries: 0, pages: 1)
        return heap.policy.pageInterval == 0
      }
    }
    context.require(made, "no heap")
  }

  // The first two times may map what stays for good: a thread's records, a table.
  private static func refuseOften(_ call: Int, _ name: String, _ context: CheckContext, _ isRefused: () -> Bool) {
    func refuse() {
      SystemFaults.fail(call: call, onwards: false)
      let refused = isRefused()
      SystemFaults.lift()
      context.require(refused, "\(name): granted all the same")
    }
    for _ in 0..<2 { refuse() }
    let mapped = ProcessMemory.mapped
    for _ in 0..<200 { refuse() }
    let grown = Surroundings.replaceMalloc ? 0 : ProcessMemory.mapped - mapped
    context.require(grown < 200 * System.pageBytes, "\(name) 200 times leaves \(grown) bytes behind")
    context.count(1)
  }

  private struct Mode {
    let name: String
    var isStrict = false
    var guards = PoolAllocator.Guards()
    var switches: Switches { OwnHeap.switches(region: 64 << 20) { $0.strict = isStrict } }
  }

  private static let modes = [
    Mode(name: "plain"), Mode(name: "strict", isStrict: true), Mode(name: "canaries", guards: .init(canaries: 1)),
    Mode(name: "pages", guards: .init(pages: 1)),
  ]

  private static func refuse(_ call: Int, _ onwards: Bool, _ mode: Mode, _ name: String, _ context: CheckContext) {
    // Where the start itself is refused there is no heap, and nothing may be left of it.
    SystemFaults.fail(call: call, onwards: onwards)
    _ = OwnHeap.with(mode.switches) { _ in }
    SystemFaults.lift()
    let made = OwnHeap.with(mode.switches) { heap in
      SystemFaults.fail(call: call, onwards: onwards)
      heap.setGuards(canaries: mode.guards.canaries, pages: mode.guards.pages)
      firstBlocks(heap).forEach { if let block = $0 { heap.free(block) } }
      SystemFaults.lift()
      heap.trim()
      context.require(heap.buddy.dirtyUnits == 0, "\(name): \(heap.buddy.dirtyUnits) units hold memory after a trim")
      let blocks = firstBlocks(heap)
      context.require(blocks.allSatisfy { $0 != nil }, "\(name): memory does not work again")
      blocks.forEach { if let block = $0 { heap.free(block) } }
      heap.trim()
      context.require(heap.statistics().total.liveBlocks == 0, "\(name): blocks are left over")
      context.require(heap.checkInvariants(), "\(name): the heap's records do not agree")
    }
    context.require(made, "\(name): no heap")
  }

  private static func firstBlocks(_ heap: Heap<HardwareMemory>) -> [UnsafeMutableRawPointer?] {
    [64, 20_000, 2 << 20, 600 << 20].map { heap.allocate($0) }
  }
}
