import AshlarSuite

/// Memory over time as a line for what is resident and one for what is live, with a band for each check.
struct MemoryChart {
  private static let (width, height) = (1000.0, 260.0)
  let record: HeapRecorder.Record

  var html: String {
    guard let last = record.samples.last, last.seconds > 0 else { return "<p>No check ran long enough.</p>" }
    let most = max(1, record.samples.map { max($0.resident, $0.live) }.max() ?? 1)
    func x(_ seconds: Double) -> Double { tenth(seconds / last.seconds * Self.width) }
    func y(_ bytes: Int) -> Double { tenth(Self.height * (1 - Double(bytes) / Double(most))) }
    func line(_ name: String, _ bytes: (HeapRecorder.Sample) -> Int) -> String {
      let points = record.samples.map { "\(x($0.seconds)),\(y(bytes($0)))" }.joined(separator: " ")
      return "<polyline class=\"\(name)\" points=\"\(points)\"/>"
    }
    let ends = record.marks.dropFirst().map(\.seconds) + [last.seconds]
    let bands = zip(record.marks, ends).enumerated().map { number, band in
      let (mark, end) = band
      let from = x(min(mark.seconds, last.seconds))
      return "<rect class=\"band\(number % 2)\" x=\"\(from)\" y=\"0\" width=\"\(max(0, x(end) - from))\" height=\"\(Self.height)\">"
        + "<title>\(mark.name.escaped)</title></rect>"
    }
    return """
      <p><span class="key"><i class="resident"></i>resident</span> <span class="key"><i class="live"></i>live blocks</span>
      0 to \(most >> 20) MiB over \(tenths(last.seconds)) s; a band is a check (its name shows under the pointer)</p>
      <svg viewBox="0 0 \(Self.width) \(Self.height)" role="img">\(bands.joined())\(line("resident", \.resident))\(line("live", \.live))</svg>
      """
  }

  private func tenth(_ value: Double) -> Double { (value * 10).rounded() / 10 }
}
