import Foundation

/// The defects that a compiler refuses, by what it says.
struct Refusals {
  /// A rewritten place.
  private struct Choice {
    let number: Int
    let whole: Range<Int>
    let mutated: Range<Int>
  }

  private let tokens: SwiftTokens
  private var choices: [Choice] = []

  /// - Parameter text: a source as `Schema` rewrites it.
  init(_ text: String) {
    tokens = SwiftTokens(text)
    for index in 1..<max(1, tokens.count - 5) where tokens[index].text == "Defect" && tokens[index + 2].text == "isSeeded" {
      if let choice = choice(index) { choices.append(choice) }
    }
  }

  // `(Defect.isSeeded(1) ? (mutated) : (original))`, or `if Defect.isSeeded(1) { mutated } else { original }`.
  private func choice(_ index: Int) -> Choice? {
    guard let number = Int(tokens[index + 4].text) else { return nil }
    let isStatement = tokens[index - 1].text == "if"
    let first = index + (isStatement ? 6 : 7)
    guard let end = tokens.partner[first], let last = tokens.partner[isStatement ? end + 2 : index - 1] else { return nil }
    return Choice(number: number, whole: range(index - 1, last), mutated: range(first, end))
  }

  private func range(_ first: Int, _ last: Int) -> Range<Int> { tokens[first].range.lowerBound..<tokens[last].range.upperBound }

  /// The numbers of those that an error at a line and column, counted from 1, is about: the one in whose mutated half it
  /// is; or else all around it, all in its line, or the last before it.
  func numbers(line: Int, column: Int) -> [Int] {
    let lines = tokens.source.split(separator: UInt8(ascii: "\n"), maxSplits: line, omittingEmptySubsequences: false)
    guard lines.indices.contains(line - 1) else { return [] }
    let here = lines[line - 1]
    let offset = here.startIndex + column - 1
    let mutated = choices.filter { $0.mutated.contains(offset) }
    if let innermost = mutated.min(by: { $0.mutated.count < $1.mutated.count }) { return [innermost.number] }
    let around = choices.filter { $0.whole.contains(offset) }
    if !around.isEmpty { return around.map(\.number) }
    let beside = choices.filter { $0.whole.overlaps(here.startIndex..<here.endIndex) }
    if !beside.isEmpty { return beside.map(\.number) }
    return choices.last { $0.whole.upperBound <= offset }.map { [$0.number] } ?? []
  }
}
