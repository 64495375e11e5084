import Testing

@testable import ScheduleExplorer

/// Leaving out executions that differ in the order of independent steps loses no outcome and invents none, whatever the
/// bound.
@Suite struct ReductionTests {
  @Test(arguments: [
    [], .sequential, .locks, .spins, .sleeps, [.sequential, .fences], [.spins, .locks], [.spins, .sequential, .fences],
  ] as [RandomProgram.Kinds])
  func reductionKeepsEveryOutcome(_ kinds: RandomProgram.Kinds) {
    var random = SplitMix(seed: 1 &+ UInt64(kinds.rawValue))
    var compared = 0
    for _ in 0..<25 {
      let program = RandomProgram(&random, kinds)
      for memory in [MemoryModel.releaseAcquire, .sequential] {
        for bound in [nil, 0, 1, 2] { compared += compare(program, memory, bound) }
      }
    }
    #expect(compared > 100)
  }

  /// What it takes to see that a thread could have begun with another step than the one that is to be reordered, that a
  /// blocked lock could have been taken, that a lock that is held makes a turn free, that a thread could have gone on after a
  /// pause when only one of two variables had changed, that a fence belongs to the order of sequential steps, and that a
  /// lock could have been taken before one that somebody has tried to take in between.
  @Test(arguments: [
    RandomProgram(
      [.add(1, .relaxed)], [.load(0, .relaxed), .load(1, .relaxed), .add(1, .relaxed)], [.load(1, .relaxed), .swap(0, 0, 2, .relaxed)]),
    RandomProgram([.lock(1)], [.load(1, .relaxed), .lock(0)], [.lock(0), .lock(1), .load(0, .relaxed)]),
    RandomProgram(
      [.store(0, 0, .relaxed), .lock(1), .store(0, 1, .relaxed)], [.lock(1), .store(0, 1, .relaxed), .unlock(1), .add(0, .relaxed)]),
    RandomProgram(
      [.load(0, .relaxed), .load(1, .relaxed), .yield, .load(0, .relaxed), .load(1, .relaxed)], [.store(0, 1, .relaxed)], [.store(1, 1, .relaxed)]),
    RandomProgram(
      [.store(1, 1, .sequential), .add(1, .relaxed), .fence(.sequential)], [.load(1, .sequential), .store(1, 1, .relaxed)]),
    RandomProgram(
      [.lock(0), .spin(1, .relaxed), .unlock(0)], [.tryLock(0), .store(1, 1, .relaxed), .unlock(0)],
      [.lock(0), .store(0, 1, .relaxed), .unlock(0)]),
  ])
  func knownPrograms(_ program: RandomProgram) {
    for memory in [MemoryModel.releaseAcquire, .sequential] {
      for bound in [nil, 0, 1, 2] { #expect(compare(program, memory, bound, limit: .max) == 1) }
    }
  }

  /// 0 where there are too many executions to compare.
  private func compare(_ program: RandomProgram, _ memory: MemoryModel, _ bound: Int?, limit: Int = 200) -> Int {
    guard let all = program.outcomes(memory, bound: bound, reduces: false, limit: limit),
      let reduced = program.outcomes(memory, bound: bound, reduces: true)
    else { return 0 }
    if all != reduced {
      let (lost, invented) = (all.subtracting(reduced), reduced.subtracting(all))
      Issue.record("\(program)\n\(memory), bound \(bound.map(String.init) ?? "none"), lost \(lost), invented \(invented)")
    }
    return 1
  }
}
