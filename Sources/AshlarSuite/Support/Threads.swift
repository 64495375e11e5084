import Glibc

/// Threads of the operating system, so that thread exit is part of what is tested.
public enum Threads {
  private final class Start {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
  }

  /// Runs `body` on `count` threads at once, each with its index, and waits for all of them.
  public static func run(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
    var threads: [pthread_t] = []
    for index in 0..<count {
      var thread = pthread_t()
      let start = Unmanaged.passRetained(Start { body(index) }).toOpaque()
      let error = pthread_create(&thread, nil, { argument in
        Unmanaged<Start>.fromOpaque(argument!).takeRetainedValue().body()
        return nil
      }, start)
      precondition(error == 0, "the system refuses a thread: error \(error)")
      threads.append(thread)
    }
    for thread in threads { pthread_join(thread, nil) }
  }
}
