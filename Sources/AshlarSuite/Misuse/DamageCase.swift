import Ashlar

/// Damage done to or beside one guarded block, and the exact report that it must draw.
public struct DamageCase: Sendable, CustomStringConvertible {
  /// What is done.
  public enum Damage: String, Sendable, CaseIterable {
    case overflow = "overflow by one byte"
    case underflow = "underflow by one byte"
    case overflowOfZero = "overflow by a zero byte"
    case writeAfterFree = "write after free"

    var kind: String {
      switch self {
      case .overflow, .overflowOfZero: "overflow"
      case .underflow: "underflow"
      case .writeAfterFree: "write after free"
      }
    }

    func offset(_ size: Int) -> Int {
      switch self {
      case .overflow, .overflowOfZero: size
      case .underflow: -1
      case .writeAfterFree: size / 2
      }
    }
  }

  /// What finds it.
  public enum Finder: String, Sendable, CaseIterable {
    case free, reallocate, check, reuse, trim
  }

  public let damage: Damage
  public let finder: Finder
  public let size: Int
  public let alignment: Int
  public var description: String { "\(damage.rawValue) of \(size) B aligned to \(alignment), found by \(finder.rawValue)" }

  /// Each damage, each way to find it, on each level that keeps freed blocks, in several alignments.
  public static let all: [DamageCase] = Damage.allCases.flatMap { damage in
    Finder.allCases.filter { ($0 != .free && $0 != .reallocate) == (damage == .writeAfterFree) || $0 == .check }.flatMap { finder in
      [(1, 16), (24, 16), (64, 64), (1000, 16), (4096, 4096), (70_000, 16), (1 << 20, 65536), (3 << 20, 16), (600 << 20, 16)]
        .filter { damage != .writeAfterFree || $0.0 < 600 << 20 }
        .map { DamageCase(damage: damage, finder: finder, size: $0.0, alignment: $0.1) }
    }
  }

  /// Does the damage among live neighbours. Answers what is wrong with how the heap took it; nil when it drew exactly
  /// the expected report, once, and changed nothing else. Blocks are guarded by canaries when it is called.
  public func failure() -> String? {
    let pool = PoolAllocator()
    var oracle = Oracle(SwiftSubject(), seed: 1)
    for neighbour in [1, 16, 64, size > 1 << 22 ? 64 : size] { oracle.allocate(size: neighbour) }
    var pointer: UInt = 0
    let faults = FaultRecorder.record {
      guard let block = pool.allocateIfPossible(size: size, alignment: alignment, file: "Damage.swift", line: 7) else { return }
      pointer = UInt(bitPattern: block)
      harm(block)
      find(block)
      // Said once.
      pool.trim()
      _ = pool.checkInvariants()
    }
    oracle.verifyAll()
    oracle.freeAll()
    if let finding = oracle.findings.first { return finding }
    guard faults.count == 1, let fault = faults.first else { return "\(faults.count) reports instead of one: \(faults)" }
    guard fault.kind == damage.kind, fault.operation == finder.rawValue, fault.offset == damage.offset(size),
      fault.address == pointer, fault.blockSize == size, fault.allocated == "Damage.swift:7",
      fault.level == (size <= 1 << 20 && size + 2 * alignment <= 1 << 20 ? .small : size < 512 << 20 ? .medium : .large)
    else { return "reported as: \(fault), offset \(fault.offset ?? 0), by \(fault.allocated ?? "?")" }
    return pool.checkInvariants() ? nil : "the heap's records do not agree"
  }

  private func harm(_ block: UnsafeMutableRawPointer) {
    if damage == .writeAfterFree { PoolAllocator().deallocate(block) }
    let byte = (block + damage.offset(size)).assumingMemoryBound(to: UInt8.self)
    byte.pointee = damage == .overflowOfZero && byte.pointee != 0 ? 0 : ~byte.pointee
  }

  private func find(_ block: UnsafeMutableRawPointer) {
    let pool = PoolAllocator()
    switch finder {
    case .free: pool.deallocate(block)
    case .reallocate:
      if let moved = try? pool.reallocate(block, size: size + 1) { pool.deallocate(moved) }
    case .check:
      _ = pool.checkInvariants()
      if damage != .writeAfterFree { pool.deallocate(block) }
    case .trim: pool.trim()
    case .reuse:
      // Enough behind it in the quarantine to push it out.
      for _ in 0..<6 { pool.deallocate(pool.allocateIfPossible(size: 3 << 20)) }
    }
  }
}
