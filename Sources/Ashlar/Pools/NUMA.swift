/// On which nodes of a machine with several memories (NUMA) pages lie.
public enum NUMAPolicy: Sendable, Equatable {
  /// On the node of the processor that first touches the page.
  case local
  /// Page by page, a huge page counting as one, on each of the nodes in turn; all that the process may use unless told otherwise.
  case interleave(over: Set<Int> = Set(NUMA.nodes))
  /// On these nodes and no others.
  case bind(to: Set<Int>)

  /// Those that it names.
  public var nodes: Set<Int> {
    switch self {
    case .local: []
    case .interleave(let nodes), .bind(let nodes): nodes
    }
  }

  // The numbers of the kernel's interface (linux/mempolicy.h).
  var mode: Int32 {
    switch self {
    case .local: 4
    case .interleave: 3
    case .bind: 2
    }
  }

  init?(mode: Int32, nodes: Set<Int>) {
    switch mode {
    case 4: self = .local
    case 3: self = .interleave(over: nodes)
    case 2: self = .bind(to: nodes)
    default: return nil
    }
  }
}

/// Why memory can't be placed.
public enum NUMAError: Error, Equatable, Sendable {
  /// The machine has no such node, it has no memory, or the process may not use it.
  case noSuchNode(Int)
  /// A policy that names nodes names none.
  case noNodes
  /// The system knows nothing of nodes, or does not let the process say where memory is to lie.
  case unavailable
  /// The system has no memory for the allocator's own records.
  case outOfMemory
}

/// What the system says of the machine's nodes of memory.
public enum NUMA {
  /// The nodes whose memory the process may use, in order; one on most machines, none where the system doesn't tell. A system call.
  public static var nodes: [Int] {
    withNodeWords { words in System.allowedNodes(words) ? set(words).sorted() : [] }
  }

  /// The node that the page of an address lies on; nil when it was not touched yet, or nothing is mapped there. A system call.
  public static func node(of address: UnsafeRawPointer) -> Int? { nodes(of: [address])[0] }

  /// The nodes that the pages of addresses lie on, as `node(of:)` answers it for each. A system call.
  public static func nodes(of addresses: [UnsafeRawPointer]) -> [Int?] {
    let page = UInt(System.pageBytes)
    var pages = addresses.map { UnsafeMutableRawPointer(bitPattern: UInt(bitPattern: $0).roundedDown(to: page)) }
    var nodes = [Int32](repeating: -1, count: pages.count)
    guard System.nodes(ofPages: &pages, &nodes, pages.count) else { return nodes.map { _ in nil } }
    return nodes.map { $0 < 0 ? nil : Int($0) }
  }

  /// The policy that the system has for an address; nil where none was chosen, or nothing is mapped. A system call.
  public static func policy(of address: UnsafeRawPointer) -> NUMAPolicy? {
    withNodeWords { words in
      guard let mode = System.placement(UnsafeMutableRawPointer(mutating: address), nodes: words) else { return nil }
      return NUMAPolicy(mode: mode, nodes: set(words))
    }
  }

  // MARK: Sets of nodes as the system takes them

  package static func withNodeWords<Result>(
    _ nodes: Set<Int> = [], _ body: (UnsafeMutablePointer<UInt>) -> Result
  ) -> Result {
    withUnsafeTemporaryAllocation(of: UInt.self, capacity: System.nodeWords) { words in
      words.initialize(repeating: 0)
      for node in nodes { words[node / UInt.bitWidth] |= 1 << UInt(node % UInt.bitWidth) }
      return body(words.baseAddress.unsafelyUnwrapped)
    }
  }

  package static func set(_ words: UnsafePointer<UInt>) -> Set<Int> {
    Set((0..<System.nodeWords * UInt.bitWidth).filter { words[$0 / UInt.bitWidth] & 1 << UInt($0 % UInt.bitWidth) != 0 })
  }
}
