/// A table that is written as Markdown or as HTML. The first column holds names, the others figures.
public struct Table: Sendable {
  public let title: String
  public let header: [String]
  public private(set) var rows: [[String]] = []

  public init(title: String, header: [String]) {
    self.title = title
    self.header = header
  }

  /// - Parameter row: as long as the header.
  public mutating func add(_ row: [String]) {
    precondition(row.count == header.count, "a row has a cell for each column")
    rows.append(row)
  }

  public var markdown: String {
    let rule = ["---"] + header.dropFirst().map { _ in "---:" }
    return "## \(title)\n\n" + ([header, rule] + rows).map { "| " + $0.joined(separator: " | ") + " |\n" }.joined()
  }

  public var html: String {
    func line(_ cells: [String], _ tag: String) -> String {
      "<tr>" + cells.map { "<\(tag)>\($0.escaped)</\(tag)>" }.joined() + "</tr>\n"
    }
    return "<h2>\(title.escaped)</h2>\n<table>\n" + line(header, "th") + rows.map { line($0, "td") }.joined() + "</table>\n"
  }
}

extension String {
  /// As text of HTML or SVG.
  var escaped: String {
    replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;").replacing("\"", with: "&quot;")
  }
}

extension Double {
  /// With so many digits behind the point.
  public func digits(_ count: Int) -> String {
    var scale = 1
    for _ in 0..<count { scale *= 10 }
    let whole = Int((magnitude * Double(scale)).rounded())
    let sign = self < 0 && whole > 0 ? "-" : ""
    if count == 0 { return "\(sign)\(whole)" }
    let fraction = "\(whole % scale)"
    return "\(sign)\(whole / scale).\(String(repeating: "0", count: count - fraction.count))\(fraction)"
  }
}
