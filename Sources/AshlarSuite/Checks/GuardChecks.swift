import Ashlar

extension Check {
  static let guards = Check(
    "guards", "\(DamageCase.all.count) overflows, underflows and writes after free: each found, named and said once"
  ) { context in
    withGuards(.init(canaries: 1)) {
      for (number, damage) in DamageCase.all.enumerated() {
        if let failure = damage.failure() { context.find("\(damage): \(failure)") }
        context.count(1)
        context.advance(number, of: DamageCase.all.count)
      }
    }
  }

  static let guardedOperations = Check(
    "guarded-operations", "mixed operations and alignments with all blocks guarded, some, and some before a page"
  ) { context in
    let guards: [PoolAllocator.Guards] = [
      .init(canaries: 1), .init(canaries: 5), .init(pages: 1), .init(pages: 7), .init(canaries: 3, pages: 2),
    ]
    for (number, guards) in guards.enumerated() {
      withGuards(guards) {
        mixedOperations(context, SwiftSubject(), operations: context.share(of: 20_000))
        mixedOperations(context, CSubject(), operations: context.share(of: 20_000))
        Threads.run(4) { thread in alignmentRounds(context, thread: thread, rounds: context.share(of: 2000)) }
      }
      context.require(PoolAllocator().checkInvariants(), "the heap's records do not agree")
      context.advance(number, of: 5)
    }
  }

  /// Runs `body` with other guards, after which nothing is left in quarantine.
  static func withGuards<Result>(_ guards: PoolAllocator.Guards, _ body: () -> Result) -> Result {
    let before = PoolAllocator.guards
    PoolAllocator.guards = guards
    defer {
      PoolAllocator.guards = before
      PoolAllocator().trim()
    }
    return body()
  }
}
