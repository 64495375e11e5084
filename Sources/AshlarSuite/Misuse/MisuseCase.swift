import Ashlar

/// One wrong use of the allocator, and the exact report that it must draw.
public struct MisuseCase: Sendable, CustomStringConvertible {
  /// What is done with the wrong pointer.
  public enum Act: String, Sendable, CaseIterable {
    case free
    case sizedFree = "sized free"
    case reallocate
    case usableSize = "usable size"

    /// Does it through an interface of the allocator; `size` is for what takes one.
    func perform(_ pointer: UnsafeMutableRawPointer, size: Int = 1, on subject: any Subject = SwiftSubject()) {
      switch self {
      case .free: subject.free(pointer)
      case .sizedFree: subject.free(pointer, size: size)
      case .reallocate: _ = subject.reallocate(pointer, size: size)
      case .usableSize: _ = subject.usableSize(pointer)
      }
    }
  }

  public let act: Act
  let victim: Victim
  public var name: String { "\(act.rawValue) of \(victim.name)" }
  public var description: String { name }

  /// Every act on every kind of pointer that is no live block.
  public static let all: [MisuseCase] = Victim.all.flatMap { victim in
    Act.allCases.map { MisuseCase(act: $0, victim: victim) }
  }

  /// Commits the misuse among live neighbours. Answers what is wrong with how the heap took it; nil when it drew
  /// exactly the expected report, changed nothing, and left the heap sound.
  public func failure() -> String? {
    let pool = PoolAllocator()
    var oracle = Oracle(SwiftSubject(), seed: 1)
    for size in [16, 64, 1000, 5000, 100_000] { oracle.allocate(size: size) }
    var faults: [MemoryFault] = []
    var pointer: UInt = 0
    victim.withPointer { wrong in
      pointer = UInt(bitPattern: wrong)
      let before = pool.statistics().total
      faults = FaultRecorder.record { act.perform(wrong) }
      if pool.statistics().total != before { oracle.note("the counters changed") }
    }
    oracle.verifyAll()
    oracle.freeAll()
    if let finding = oracle.findings.first { return finding }
    guard faults.count == 1 else { return "\(faults.count) reports instead of one" }
    guard faults[0].operation == act.rawValue, faults[0].kind == victim.kind, victim.states.contains(faults[0].state),
      faults[0].address == pointer
    else { return "reported as: \(faults[0])" }
    return pool.checkInvariants() ? nil : "the heap's records do not agree"
  }
}
