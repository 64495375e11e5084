import Foundation
import Glibc

/// How much else the machine did during a run.
///
/// Two measures, of which the larger counts: what processors spent on other processes and on other machines (steal), as a
/// share of all processors' time, from /proc/stat; and how long the run's threads waited for a processor, as a share of
/// their time, where there is a processor for each.
public struct Disturbance {
  private let clock = ContinuousClock()
  private let begin: ContinuousClock.Instant
  private let busy: Double
  private let own: Double

  /// Processors of this machine.
  public static let processors = ProcessInfo.processInfo.activeProcessorCount
  /// A run with more is disturbed. The kernel counts in hundredths of a second.
  public static let limit = 0.05

  public init() {
    begin = clock.now
    busy = Self.busySeconds()
    own = Self.ownSeconds()
  }

  /// The share since the beginning, with `run` over by now. 0 to 1.
  public func share(of run: Run, threads: Int) -> Double {
    let passed = (clock.now - begin) / .seconds(1)
    let others = max(0, Self.busySeconds() - busy - (Self.ownSeconds() - own))
    return Self.share(
      others: others, passed: passed, waited: run.waited, wall: run.wall, threads: threads, processors: Self.processors)
  }

  static func share(others: Double, passed: Double, waited: Double, wall: Double, threads: Int, processors: Int) -> Double {
    // The second operand: half a tick for each processor at either end.
    let elsewhere = max(0, others - 0.01 * Double(processors)) / (passed * Double(processors))
    let waiting = threads <= processors ? waited / (wall * Double(threads)) : 0
    return min(1, max(elsewhere, waiting))
  }

  // user, nice, system, (idle, iowait,) irq, softirq, steal: in hundredths of a second since the start of the machine.
  private static func busySeconds() -> Double {
    guard let text = try? String(contentsOfFile: "/proc/stat", encoding: .utf8) else { return 0 }
    let ticks = text.prefix { $0 != "\n" }.split(separator: " ").dropFirst().prefix(8).compactMap { Double($0) }
    return ticks.count < 8 ? 0 : (ticks.reduce(0, +) - ticks[3] - ticks[4]) / 100
  }

  // Of this process and of those that it started and that have ended.
  private static func ownSeconds() -> Double {
    [RUSAGE_SELF, RUSAGE_CHILDREN].reduce(0) { sum, who in
      var usage = rusage()
      getrusage(who.rawValue, &usage)
      return sum + [usage.ru_utime, usage.ru_stime].reduce(0) { $0 + Double($1.tv_sec) + Double($1.tv_usec) * 1e-6 }
    }
  }
}
