/// An allocator whose blocks lie on chosen nodes of a machine with several memories (NUMA): for what is behind a pool or an arena.
///
/// Each block is a mapping of its own, whole pages, zero until written; an allocation and a free are system calls. So it is for
/// few and large blocks. A page gets its node when it is first touched: `ObjectPool.preallocate` does that. On a machine with one node every policy
/// works and none makes a difference; `description` says so. Double and invalid frees are reported as the heap's are. Blocks that
/// are live when the allocator's own life ends are given back with it; pools, arenas and buffers keep it for as long as they need it.
///
/// ```swift
/// let spread = try NUMAAllocator(.interleave())
/// let nodes = try ObjectPool<Node>(capacity: 1_000_000, allocator: spread)
/// ```
public final class NUMAAllocator: BlockAllocator, CustomStringConvertible {
  public let policy: NUMAPolicy
  private let allowed: [Int]
  // The table's words: the allocator's own, guarded by the lock that is the first of them.
  private nonisolated(unsafe) let state: UnsafeMutableRawPointer
  private nonisolated(unsafe) let mappings: DirectMappings<HardwareMemory>

  /// - Throws: `NUMAError`: for a node that does not exist or may not be used, a policy that names none, and a system that does not
  ///   place memory. What the system says is asked for here, so that no allocation fails for it.
  public init(_ policy: NUMAPolicy) throws(NUMAError) {
    allowed = NUMA.nodes
    guard !allowed.isEmpty else { throw .unavailable }
    if policy != .local, policy.nodes.isEmpty { throw .noNodes }
    if let stranger = policy.nodes.subtracting(allowed).min() { throw .noSuchNode(stranger) }
    self.policy = policy
    guard let probe = System.map(System.pageBytes) else { throw .outOfMemory }
    defer { System.unmap(probe, System.pageBytes) }
    guard Self.place(probe, System.pageBytes, policy) else { throw .unavailable }
    guard let state = PoolAllocator().allocateIfPossible(size: DirectMappings<HardwareMemory>.bytes, alignment: CacheLine.bytes, zeroed: true)
    else { throw .outOfMemory }
    self.state = state
    mappings = DirectMappings(state: state, hugePages: false)
  }

  deinit {
    mappings.releaseAll()
    PoolAllocator().deallocate(state)
  }

  private static func place(_ address: UnsafeMutableRawPointer, _ bytes: Int, _ policy: NUMAPolicy) -> Bool {
    NUMA.withNodeWords(policy.nodes) { System.setPlacement(address, bytes, mode: policy.mode, nodes: $0) }
  }

  /// The policy in words, and whether it makes a difference on this machine.
  public var description: String {
    let names = policy.nodes.sorted().map(String.init).joined(separator: ", ")
    let words =
      switch policy {
      case .local: "local"
      case .interleave: "interleaved over nodes \(names)"
      case .bind: "bound to nodes \(names)"
      }
    return allowed.count == 1 ? "\(words) (there is one node, \(allowed[0]): no difference)" : words
  }

  // MARK: Blocks

  public func allocate(
    size: Int, alignment: Int, zeroed: Bool, file: StaticString, line: UInt
  ) throws(AllocationError) -> UnsafeMutableRawPointer {
    guard size >= 0 else { throw .invalidSize }
    guard let valid = Alignment(UInt(bitPattern: alignment))?.value else { throw .invalidAlignment(alignment) }
    guard let (base, block) = mappings.allocate(size: size, alignment: valid) else { throw .outOfMemory(size: size) }
    guard Self.place(base.raw, block.mapped, policy) else {
      _ = mappings.release(base)
      throw .outOfMemory(size: size)
    }
    return base.raw
  }

  /// See `BlockAllocator.reallocate`. The pages that there are stay where they are.
  public func reallocate(
    _ block: UnsafeMutableRawPointer, size: Int, alignment: Int, file: StaticString, line: UInt
  ) throws(AllocationError) -> UnsafeMutableRawPointer {
    guard size >= 0 else { throw .invalidSize }
    guard let valid = Alignment(UInt(bitPattern: alignment))?.value else { throw .invalidAlignment(alignment) }
    let base = BlockBase(UserPointer(block))
    guard let known = mappings.block(at: base) else {
      report(block, .reallocate)
      throw .invalidPointer
    }
    if let moved = mappings.resize(base, to: size, alignment: valid) { return moved.raw }
    let moved = try allocate(size: size, alignment: alignment, zeroed: false, file: file, line: line)
    moved.copyMemory(from: block, byteCount: min(size, known.size))
    deallocate(block)
    return moved
  }

  public func deallocate(_ block: UnsafeMutableRawPointer?) {
    guard let block else { return }
    if !mappings.release(BlockBase(UserPointer(block))) { report(block, .free) }
  }

  public func deallocate(_ block: UnsafeMutableRawPointer?, size: Int) {
    guard let block else { return }
    guard let known = mappings.block(at: BlockBase(UserPointer(block))) else { return report(block, .sizedFree) }
    guard size >= 0, size <= known.mapped else {
      return Fault(
        operation: .sizedFree, kind: .wrongSize, address: UInt(bitPattern: block), state: "live: smaller than the size given",
        level: known.level, blockSize: known.mapped
      ).report()
    }
    deallocate(block)
  }

  public func usableSize(of block: UnsafeMutableRawPointer?) -> Int {
    guard let block else { return 0 }
    guard let known = mappings.block(at: BlockBase(UserPointer(block))) else {
      report(block, .usableSize)
      return 0
    }
    return known.mapped
  }

  private func report(_ pointer: UnsafeMutableRawPointer, _ operation: Operation) {
    let address = UInt(bitPattern: pointer)
    var fault = Fault(operation: operation, kind: .invalidPointer, address: address, state: "not from this allocator")
    if let block = mappings.block(around: address) {
      fault.level = block.level
      fault.blockSize = block.mapped
      fault.state = "inside a block"
    } else if mappings.wasReleased(BlockBase(UserPointer(pointer))) {
      fault.kind = .doubleFree
      fault.state = "already free: returned to the system"
    }
    fault.report()
  }
}
