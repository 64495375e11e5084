import Ashlar

extension Check {
  static let freshRefusals = Check(
    "fresh-refusals", "a heap's start and its first blocks of every level, with each system call refused, in every mode"
  ) { context in
    for (mode, switches) in modes {
      for call in 1...12 {
        for onwards in [false, true] {
          refuse(call, onwards, switches, "\(mode), call \(call)\(onwards ? " and all later ones" : "")", context)
          context.count(1)
        }
      }
    }
  }

  private static let modes: [(String, Switches)] = [
    ("plain", OwnHeap.switches(region: 64 << 20)), ("strict", OwnHeap.switches(region: 64 << 20) { $0.strict = true }),
    ("canaries", OwnHeap.switches(region: 64 << 20) { $0.guardInterval = 1 }),
    ("pages", OwnHeap.switches(region: 64 << 20) { $0.sampleInterval = 1 }),
  ]

  private static func refuse(_ call: Int, _ onwards: Bool, _ switches: Switches, _ name: String, _ context: CheckContext) {
    // Where the start itself is refused there is no heap, and nothing may be left of it.
    SystemFaults.fail(call: call, onwards: onwards)
    _ = OwnHeap.with(switches) { _ in }
    SystemFaults.lift()
    let made = OwnHeap.with(switches) { heap in
      SystemFaults.fail(call: call, onwards: onwards)
      firstBlocks(heap).forEach { if let block = $0 { heap.free(block) } }
      SystemFaults.lift()
      let blocks = firstBlocks(heap)
      context.require(blocks.allSatisfy { $0 != nil }, "\(name): memory does not work again")
      blocks.forEach { if let block = $0 { heap.free(block) } }
      context.require(heap.statistics().total.liveBlocks == 0, "\(name): blocks are left over")
      context.require(heap.checkInvariants(), "\(name): the heap's records do not agree")
    }
    context.require(made, "\(name): no heap")
  }

  private static func firstBlocks(_ heap: Heap<HardwareMemory>) -> [UnsafeMutableRawPointer?] {
    [64, 20_000, 2 << 20, 600 << 20].map { heap.allocate($0) }
  }
}
