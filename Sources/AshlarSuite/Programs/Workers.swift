import Glibc

/// Threads that take turns: each does what it is given while the one that gave it waits.
///
/// They are made when first needed and live until they are ended, so that a program for one thread costs none, and the next
/// one finds those of the last.
final class Workers {
  /// Whoever runs programs: one at a time.
  nonisolated(unsafe) static let shared = Workers()

  private final class Worker: @unchecked Sendable {
    private var task: (() -> Void)?
    private let begun = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)
    private let done = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)
    private var thread = pthread_t()

    init() {
      sem_init(begun, 0, 0)
      sem_init(done, 0, 0)
      // AddressSanitizer clears what it keeps of a stack when a thread begins and when it ends.
      var attributes = pthread_attr_t()
      pthread_attr_init(&attributes)
      pthread_attr_setstacksize(&attributes, 256 << 10)
      let error = pthread_create(&thread, &attributes, { argument in
        Unmanaged<Worker>.fromOpaque(argument!).takeUnretainedValue().work()
        return nil
      }, Unmanaged.passUnretained(self).toOpaque())
      pthread_attr_destroy(&attributes)
      precondition(error == 0, "the system refuses a thread: error \(error)")
    }

    private func work() {
      while true {
        while sem_wait(begun) != 0 {}
        guard runTask() else { return }
        sem_post(done)
      }
    }

    // In a function of its own, so that nothing of the task is held when its giver goes on.
    @inline(never)
    private func runTask() -> Bool {
      guard let task else { return false }
      task()
      return true
    }

    /// Nil ends the thread.
    func perform(_ task: (() -> Void)?) {
      self.task = task
      sem_post(begun)
      if task == nil { pthread_join(thread, nil) } else { while sem_wait(done) != 0 {} }
      self.task = nil
    }

    deinit {
      sem_destroy(begun)
      sem_destroy(done)
      begun.deallocate()
      done.deallocate()
    }
  }

  private var workers: [Int: Worker] = [:]

  /// Runs `task` on a thread, 0 being the caller's own, and waits.
  func perform(on thread: Int, _ task: @escaping () -> Void) {
    guard thread > 0 else { return task() }
    if workers[thread] == nil { workers[thread] = Worker() }
    workers[thread]!.perform(task)
  }

  /// Whether a thread is there; the caller's own always is.
  func isRunning(_ thread: Int) -> Bool { thread == 0 || workers[thread] != nil }

  /// Lets a thread exit.
  func end(_ thread: Int) { workers.removeValue(forKey: thread)?.perform(nil) }
}
