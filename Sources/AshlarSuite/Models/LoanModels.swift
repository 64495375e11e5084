import Ashlar
import ScheduleExplorer

/// A slab of the lender has eight blocks; two of them make one of the borrower.
private let lender = SizeClass(holding: 8 << 10)
private let borrower = SizeClass(holding: 16 << 10)

extension LayerState {
  /// A unit full of slabs of the lender, each with a block that is in use, the fourth thread's, and no other page that holds memory.
  fileprivate func becomeSparse() throws {
    let blocks = 16 * lender.slabBlocks
    while self.blocks[3].count < blocks { try takeBlocks(3, lender, blocks - self.blocks[3].count) }
    let all = self.blocks[3].sorted()
    self.blocks[3] = all.indices.filter { $0 % lender.slabBlocks != 7 }.map { all[$0] }
    try giveBlocksBack(3, lender, self.blocks[3].count)
    self.blocks[3] = all.indices.filter { $0 % lender.slabBlocks == 7 }.map { all[$0] }
  }

  /// No block lies in another, and what each class counts is what there is.
  fileprivate func requireSoundLoans() throws {
    let loans = blocks[1]
    let others = Array(blocks.dropFirst(2).joined())
    let ranges = (loans.map { $0..<($0 + UInt(borrower.size)) } + others.map { $0..<($0 + UInt(lender.size)) }).sorted { $0.lowerBound < $1.lowerBound }
    for (block, next) in zip(ranges, ranges.dropFirst()) { try require(block.upperBound <= next.lowerBound, "a block lies in another") }
    try require(slabs.takenCount(borrower) == loans.count, "\(slabs.takenCount(borrower)) of the borrower counted, \(loans.count) taken")
    try require(slabs.takenCount(lender) == others.count, "\(slabs.takenCount(lender)) of the lender counted, \(others.count) taken")
    try require(slabs.hasLoans(borrower) == !loans.isEmpty, "loans that nobody has, or that nobody knows of")
    try require(slabs.checkInvariants() && pool.checkInvariants(), "the slabs' records disagree")
  }
}

extension Action where State == LayerState {
  private static func name(_ verb: String, _ sizeClass: SizeClass) -> String { "\(verb) of the \(sizeClass == lender ? "lender" : "borrower")" }
  fileprivate static func takeOne(_ thread: Int, _ sizeClass: SizeClass) -> Action {
    Action(name("take one", sizeClass)) { try $0.takeBlocks(thread, sizeClass, 1) }
  }
  fileprivate static func giveOneBack(_ thread: Int, _ sizeClass: SizeClass) -> Action {
    Action(name("give one back", sizeClass)) { try $0.giveBlocksBack(thread, sizeClass, 1) }
  }
}

extension Model {
  private static func loans(_ begin: @escaping (LayerState) throws -> Void, _ threads: [Action<LayerState>]...) -> Scenario<LayerState> {
    var scenario = Scenario("loans") {
      let state = LayerState()
      try state.becomeSparse()
      try begin(state)
      return state
    }
    for thread in threads { scenario.thread(thread) }
    return scenario.checking { try $0.requireSoundLoans() }
  }

  static let loanModels: [Model] = [
    Model("loan-borrow", "loans: one thread borrows neighbours while another takes blocks of the lender", threads: 2) {
      loans({ _ in }, [.takeOne(1, borrower)], [.takeOne(2, lender), .giveOneBack(2, lender)])
    },
    Model("loan-home", "loans: a loan comes home while a block of the lender does", threads: 2) {
      loans({ state in
        try state.takeBlocks(1, borrower, 1)
        try state.takeBlocks(2, lender, 1)
      }, [.giveOneBack(1, borrower)], [.giveOneBack(2, lender)])
    },
    Model("loan-retire", "loans: the last loan and the last block of a slab come home at once", threads: 2) {
      loans({ state in
        try state.takeBlocks(1, borrower, 1)
        let slab = state.region.page(of: state.blocks[1][0])
        state.blocks[2] = state.blocks[3].filter { state.region.page(of: $0) == slab }
        state.blocks[3].removeAll { state.region.page(of: $0) == slab }
        for block in state.blocks[2] { state.word(block)[0] = 2 }
      }, [.giveOneBack(1, borrower)], [.giveOneBack(2, lender)])
    },
    Model("loan-home-twice", "loans: a loan that comes home twice is told, and counted once", threads: 1) {
      loans({ try $0.takeBlocks(1, borrower, 2) }, [
        .giveOneBackTwice(1, borrower)
      ])
    },
  ]
}

extension HeapState {
  /// What two threads have in a page that lends: the first a block of the lender, the second one on loan beside it.
  fileprivate func becomeSparse(lent: Bool) throws {
    try acting(as: 1) {
      var all = (0..<(16 * lender.slabBlocks)).compactMap { _ in allocate(lender.size) }
      all.sort()
      for (index, block) in all.enumerated() where index % lender.slabBlocks != 7 { free(block) }
      heap.trim()
      // The page that lends last lends first again.
      for _ in 0..<(lent ? 1 : borrower.stretch) { try take(2, borrower.size) }
      let page = try pageOfLastLoan()
      if !lent {
        while let block = blocks[2].popLast() { free(block) }
        heap.trim()
      }
      for (index, block) in all.enumerated() where index % lender.slabBlocks == 7 {
        let isNeighbour = heap.region.page(of: UInt(bitPattern: block)) == page
        PlainPointer<SteppingMemory, UInt>(block)[0] = isNeighbour ? 1 : 3
        blocks[isNeighbour ? 1 : 3].append(block)
      }
    }
    for block in blocks[2] { PlainPointer<SteppingMemory, UInt>(block)[0] = 2 }
  }

  fileprivate func pageOfLastLoan() throws -> Int {
    try require(!blocks[2].isEmpty, "nothing is lent")
    let page = heap.region.page(of: UInt(bitPattern: blocks[2][blocks[2].count - 1]))
    try require(SteppingMemory.load(heap.region.route(ofPage: page)) == 0, "nothing is lent")
    return page
  }
}

extension Action where State == HeapState {
  /// Takes a block on loan from the page in which the first thread has one.
  fileprivate static var takeBeside: Action {
    Action("take one of the borrower") { state in
      try state.take(2, borrower.size)
      let page = try state.pageOfLastLoan()
      try require(state.blocks[3].allSatisfy { state.heap.region.page(of: UInt(bitPattern: $0)) != page }, "another page lends")
    }
  }
}

extension Model {
  static let lentModels: [Model] = [
    Model("loan-free", "loans: a loan is freed while another thread frees a block beside it, each by the hot path", threads: 2) {
      heap(begin: { try $0.becomeSparse(lent: true) }, [.giveBack(1), .take(1, lender.size)], [.giveBack(2), .take(2, borrower.size)])
    },
    Model("loan-lend-free", "loans: a page lends while another thread frees a block of it by the hot path", threads: 2) {
      heap(begin: { try $0.becomeSparse(lent: false) }, [.giveBack(1)], [.takeBeside, .giveBack(2)])
    },
  ]
}
