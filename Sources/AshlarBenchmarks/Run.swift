/// What one run of a workload measured.
public struct Run: Sendable, Equatable {
  public enum Clock: String, Sendable, CaseIterable {
    /// What passes from the start to the end: right on a quiet machine.
    case wall
    /// What the processors spend on the process: for a machine that does other things too. Waiting is left out.
    case processor
  }

  public var operations = 0.0
  /// Seconds.
  public var wall = 0.0
  /// Seconds, of all threads together.
  public var processor = 0.0
  /// Seconds in which a thread could have run and did not, of all threads together.
  public var waited = 0.0
  public var peakMebibytes = 0.0
  /// Figures that only this workload has; less is better.
  public var figures: [String: Double] = [:]
  /// Bytes mapped and resident after each step, of the workload that has steps.
  public var steps: [Step] = []

  public struct Step: Sendable, Equatable {
    public let label: String
    public let mapped: Double
    public let resident: Double
  }

  /// Reads what the program of the workloads prints; nil where that is not a run.
  public init?(output: String) {
    var values: [Substring: Double] = [:]
    for line in output.split(separator: "\n") {
      let fields = line.split(separator: " ")
      switch (fields.first, fields.count) {
      case ("figure", 3): figures[String(fields[1])] = Double(fields[2])
      case ("step", 4):
        steps.append(Step(label: String(fields[1]), mapped: Double(fields[2]) ?? 0, resident: Double(fields[3]) ?? 0))
      case (_, 2): values[fields[0]] = Double(fields[1])
      default: return nil
      }
    }
    guard let operations = values["operations"], let wall = values["wall"], let processor = values["processor"],
      let waited = values["waited"], let peak = values["peak-mib"], operations > 0, wall > 0, processor > 0
    else { return nil }
    (self.operations, self.wall, self.processor, self.waited, peakMebibytes) = (operations, wall, processor, waited, peak)
  }

  /// Operations a second.
  public func speed(_ clock: Clock) -> Double { operations / (clock == .wall ? wall : processor) }
}
