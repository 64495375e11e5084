/// Things that are measured in turns, so that what disturbs one disturbs the others too, and compared with the first of them.
struct Contest {
  let title: String
  let entries: [Entry]

  struct Entry {
    let name: String
    /// Does the work once, and answers how many seconds it took.
    let seconds: () -> Double
  }

  /// Runs every entry in each of `rounds` rounds, the order turned by one each time, and prints what each took beside the first.
  func run(rounds: Int) {
    var times = entries.map { _ in [Double]() }
    for entry in entries { _ = entry.seconds() }
    for round in 0..<rounds {
      for turn in entries.indices {
        let index = (turn + round) % entries.count
        times[index].append(entries[index].seconds())
      }
    }
    print("\n### \(title)\n\n| | median | ratio to the first | quartiles |\n|---|---|---|---|")
    for (index, entry) in entries.enumerated() {
      let ratios = zip(times[0], times[index]).map { $0 / $1 }.sorted()
      let median = times[index].sorted()[rounds / 2]
      print("| \(entry.name) | \(format(median * 1e9)) ns | \(format(ratios[rounds / 2])) | \(format(ratios[rounds / 4])) – \(format(ratios[rounds * 3 / 4])) |")
    }
  }

  private func format(_ value: Double) -> String {
    let hundredths = Int((value * 100).rounded())
    return "\(hundredths / 100).\(hundredths % 100 < 10 ? "0" : "")\(hundredths % 100)"
  }
}
