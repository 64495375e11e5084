import Ashlar

/// Runs operation programs on Ashlar against the oracle.
///
/// One operation at a time, on the thread that the program names, each answer checked. Every misuse must draw exactly
/// one report of the right kind. Ends at the first finding.
public struct ProgramRunner {
  /// What a run says before each operation: its number and its line.
  public typealias Narrator = (Int, String) -> Void

  private let subject: any Subject
  private var oracle: Oracle
  private var held = [UInt?](repeating: nil, count: OperationProgram.slots)
  private var heldBefore = [UInt?](repeating: nil, count: OperationProgram.slots)
  private var thread = 0

  private init(_ subject: any Subject) {
    self.subject = subject
    oracle = Oracle(subject, seed: 0, wholeBelow: 64 << 10)
  }

  /// Carries a program out, gives everything back, and answers what is wrong; nil when nothing is.
  public static func run(
    _ program: OperationProgram, on subject: any Subject = SwiftSubject(), narrator: Narrator = { _, _ in }
  ) -> String? {
    var runner = ProgramRunner(subject)
    let workers = Workers()
    for (number, operation) in program.operations.enumerated() {
      narrator(number, OperationProgram.line(operation))
      if case .thread(let next) = operation {
        runner.thread = next
        continue
      }
      var failure: String?
      workers.perform(on: runner.thread) { failure = runner.perform(operation) }
      if let failure {
        runner.oracle.freeAll()
        return "operation \(number), \(OperationProgram.line(operation)): \(failure)"
      }
    }
    runner.oracle.verifyAll()
    runner.oracle.freeAll()
    workers.end()
    if let finding = runner.oracle.findings.first { return "at the end: \(finding)" }
    return PoolAllocator().checkInvariants() ? nil : "at the end: the heap's records do not agree"
  }

  private mutating func perform(_ operation: OperationProgram.Operation) -> String? {
    switch operation {
    case .allocate(let slot, let size, let exponent, let zeroed):
      release(slot, sized: false)
      held[slot] = oracle.allocate(size: size, alignment: 1 << exponent, zeroed: zeroed)?.address
    case .reallocate(let slot, let size):
      guard let index = position(slot) else { break }
      heldBefore[slot] = held[slot]
      held[slot] = oracle.reallocate(index, size: size)
    case .free(let slot, let sized): release(slot, sized: sized)
    case .measure(let slot):
      guard let index = position(slot), subject.usableSize(oracle.live[index].pointer) < oracle.live[index].size else { break }
      return "fewer usable bytes than were asked for"
    case .verify: oracle.verifyAll()
    case .trim: PoolAllocator().trim()
    case .thread: break
    case .misuse(let slot, let misuse): return commit(misuse, slot)
    }
    return oracle.findings.first
  }

  private func position(_ slot: Int) -> Int? {
    held[slot].flatMap { address in oracle.position(ofLive: address) }
  }

  private mutating func release(_ slot: Int, sized: Bool) {
    guard let index = position(slot) else { return }
    oracle.free(index, sized: sized)
    heldBefore[slot] = held[slot]
    held[slot] = nil
  }

  // MARK: Misuse

  private mutating func commit(_ misuse: OperationProgram.Misuse, _ slot: Int) -> String? {
    switch misuse {
    case .freeAgain, .reallocateAgain, .measureAgain:
      // An address that is live again is nobody's mistake to make here.
      guard let address = heldBefore[slot], oracle.position(ofLive: address) == nil else { return nil }
      let pointer = UnsafeMutableRawPointer(bitPattern: address)!
      return faulty(["double free", "invalid pointer"]) { subject in
        switch misuse {
        case .freeAgain: subject.free(pointer)
        case .reallocateAgain: _ = subject.reallocate(pointer, size: 1)
        default: _ = subject.usableSize(pointer)
        }
      }
    case .freeInside, .freeMisaligned:
      guard let index = position(slot), oracle.live[index].size > 16 else { return nil }
      let pointer = oracle.live[index].pointer + (misuse == .freeInside ? 16 : 1)
      return faulty(["invalid pointer"]) { $0.free(pointer) }
    case .freeSizedTooLarge:
      guard let index = position(slot) else { return nil }
      let pointer = oracle.live[index].pointer
      let size = subject.usableSize(pointer) + 1
      return faulty(["wrong size"]) { $0.free(pointer, size: size) }
    }
  }

  private func faulty(_ kinds: [String], _ act: (any Subject) -> Void) -> String? {
    let faults = FaultRecorder.record { act(subject) }
    guard faults.count == 1 else { return "\(faults.count) reports instead of one" }
    return kinds.contains(faults[0].kind) ? nil : "reported as: \(faults[0])"
  }
}
