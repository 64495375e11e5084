import Foundation

/// Sources rewritten so that all defects are in one build, and one is chosen when the program starts (Untch, Offutt and
/// Harrold, "Mutation analysis using mutant schemata", 1993).
public enum Schema {
  /// A defect whose place was not found, or lies across another's.
  public struct Misplaced: Error, CustomStringConvertible {
    public let description: String
  }

  /// Where a defect goes.
  private struct Place {
    let number: Int
    let defect: Defect
    let range: Range<String.Index>
  }

  /// `text` with every defect of its file, each under its number.
  public static func rewrite(_ text: String, _ defects: [(number: Int, defect: Defect)]) throws -> String {
    let places = try defects.map { try Place(number: $0.number, defect: $0.defect, range: place(of: $0.defect, in: text)) }
    return try render(text, text.startIndex..<text.endIndex, places)
  }

  /// The text that a defect replaces.
  public static func place(of defect: Defect, in text: String) throws -> Range<String.Index> {
    if let range = defect.range {
      return text.utf8.index(text.startIndex, offsetBy: range.lowerBound)..<text.utf8.index(text.startIndex, offsetBy: range.upperBound)
    }
    let plain = defect.original.filter { $0 != "«" && $0 != "»" }
    let found = text.ranges(of: plain)
    guard !plain.isEmpty, found.count == 1, let whole = found.first else {
      throw Misplaced(description: "\(defect.name): its text occurs \(found.count) times in \(defect.file)")
    }
    guard let begin = defect.original.firstIndex(of: "«"), let end = defect.original.firstIndex(of: "»") else { return whole }
    let before = defect.original.distance(from: defect.original.startIndex, to: begin)
    let length = defect.original.distance(from: begin, to: end) - 1
    let start = text.index(whole.lowerBound, offsetBy: before)
    return start..<text.index(start, offsetBy: length)
  }

  // The outermost places first; what lies within one is rewritten in its original half.
  private static func render(_ text: String, _ range: Range<String.Index>, _ places: [Place]) throws -> String {
    var result = ""
    var next = range.lowerBound
    var left = places.sorted { ($0.range.lowerBound, $1.range.upperBound) < ($1.range.lowerBound, $0.range.upperBound) }
    while !left.isEmpty {
      let outer = left.removeFirst()
      guard outer.range.lowerBound >= next, outer.range.upperBound <= range.upperBound else {
        throw Misplaced(description: "\(outer.defect.name): its place lies across another's")
      }
      let inner = left.filter { $0.range.lowerBound < outer.range.upperBound }
      left.removeFirst(inner.count)
      result += text[next..<outer.range.lowerBound]
      result += choice(outer, try render(text, outer.range, inner))
      next = outer.range.upperBound
    }
    return result + text[next..<range.upperBound]
  }

  private static func choice(_ place: Place, _ original: String) -> String {
    let isC = place.defect.file.hasSuffix(".c") || place.defect.file.hasSuffix(".h")
    let condition = isC ? "ashlar_seeded_defect(\(place.number))" : "Defect.isSeeded(\(place.number))"
    return switch place.defect.kind {
    case .expression: "(\(condition) ? (\(place.defect.mutated)) : (\(original)))"
    case .statement: "if \(isC ? "(\(condition))" : condition) {\n\(place.defect.mutated)\n} else {\n\(original)\n}"
    }
  }
}
