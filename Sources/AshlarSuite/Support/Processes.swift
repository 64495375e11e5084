import Glibc

/// Child processes made by fork(2) alone, which Swift does not offer.
public enum Processes {
  private static let forkFunction: @convention(c) () -> pid_t = {
    typealias Fork = @convention(c) () -> pid_t
    return unsafeBitCast(dlsym(nil, "fork")!, to: Fork.self)
  }()

  /// Whether a child that does it is ended by one of these signals.
  static func dies(of signals: [Int32], _ act: () -> Bool) -> Bool {
    let status = fork(seconds: 10) {
      for number in signals { signal(number, SIG_DFL) }
      return act()
    }
    return signals.contains(status & 127)
  }

  /// Runs `body` in a child, which has the calling thread only and ends with it: 0 for true. Answers the status that
  /// waitpid(2) gave; a child that is not done after `seconds` is ended by SIGALRM.
  ///
  /// Where the parent has other threads, `body` must have run in it before: the Swift runtime looks things up under locks
  /// of its own, which a child may find held for ever.
  public static func fork(seconds: UInt32 = 60, _ body: () -> Bool) -> Int32 {
    let child = forkFunction()
    precondition(child >= 0, "the system refuses a process")
    if child == 0 {
      // Threads that the runtime makes may have it blocked.
      var signals = sigset_t()
      sigemptyset(&signals)
      sigaddset(&signals, SIGALRM)
      sigprocmask(SIG_UNBLOCK, &signals, nil)
      alarm(seconds)
      _exit(body() ? 0 : 1)
    }
    var status: Int32 = -1
    while waitpid(child, &status, 0) < 0 && errno == EINTR {}
    return status
  }
}
