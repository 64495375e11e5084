import Glibc
import ScheduleExplorer

/// How many schedules a second of a core runs. By the processor's time, which others who share the cores take nothing of.
struct Rate {
  private let begin = Self.now
  private var schedules = 0
  private(set) var seconds = 0.0

  private static var now: Double {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }

  /// An exploration that has ended now. What was cut short has run too.
  mutating func add(_ report: Report) {
    schedules += report.executions + report.redundant + report.unfounded
    seconds = Self.now - begin
  }

  /// Empty where there were too few to say.
  var text: String { seconds < 0.02 ? "" : "  \(grouped(Int(Double(schedules) / seconds))) a second" }
}

/// A number as tables have it.
func grouped(_ number: Int) -> String {
  var digits = String(number)
  var index = digits.endIndex
  while digits.formIndex(&index, offsetBy: -3, limitedBy: digits.startIndex), index > digits.startIndex { digits.insert(",", at: index) }
  return digits
}
