import Ashlar
import ScheduleExplorer

/// A futex lock, and what it guards.
final class LockState {
  let process = ModelProcess()
  let lock: FutexLock<SteppingMemory>
  let other: FutexLock<SteppingMemory>
  let guarded: PlainPointer<SteppingMemory, UInt>

  init() {
    let memory = process.take(4096, "memory")
    Explored.name("lock", memory, bytes: 8)
    Explored.name("guarded", memory + 128, bytes: 8)
    lock = FutexLock(SharedWord(memory))
    other = FutexLock(SharedWord(memory + 64))
    guarded = PlainPointer(memory + 128)
  }
}

extension Action where State == LockState {
  static var section: Action {
    Action("acquire, count, release") { state in
      state.lock.acquire()
      state.guarded[0] += 1
      state.lock.release()
    }
  }
  static var attempt: Action {
    Action("try, count, release") { state in
      guard state.lock.tryAcquire() else { return }
      state.guarded[0] += 1
      state.lock.release()
    }
  }
}

extension Model {
  static let lockModels: [Model] = [
    Model("lock-alone", "lock: where nobody sleeps nobody is woken", threads: 1) {
      Scenario("lock") { LockState() }.with(.section, .attempt)
        .checking { try require($0.guarded[0] == 2 && $0.process.wakes == 0, "\($0.process.wakes) calls of the system to wake nobody") }
    },
    Model("lock-spin", "lock: one that comes free soon is taken without a sleep", threads: 1) {
      Scenario("lock") { () -> LockState in
        let state = LockState()
        state.process.spins = 2
        state.process.whileRelaxing = { [lock = state.lock] in lock.release() }
        _ = state.lock.tryAcquire()
        return state
      }
      .with(.section).checking { try require($0.process.wakes == 0, "taken as by one who has slept") }
    },
    Model("lock-two-threads", "lock: one at a time, and nobody sleeps for ever", threads: 2) {
      Scenario("lock") { LockState() }.with(.section, .section).with(.section)
        .checking { try require($0.guarded[0] == 3, "a count was lost") }
    },
    Model("lock-three-threads", "lock: three threads, two of which may sleep", threads: 3) {
      Scenario("lock") { LockState() }.with(.section).with(.section).with(.section)
        .checking { try require($0.guarded[0] == 3, "a count was lost") }
    },
    Model("lock-try", "lock: an attempt that fails changes nothing", threads: 3) {
      Scenario("lock") { LockState() }.with(.section).with(.attempt).with(.attempt)
        .checking { try require((1...3).contains($0.guarded[0]), "a count was lost") }
    },
  ]
}
