import Foundation

/// Charts as SVG, for a page that needs nothing else.
public enum Chart {
  /// One colour for each series, told apart by the colour-blind too (Okabe and Ito 2008).
  static let colors = ["#000000", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"]

  static func color(_ series: Int) -> String { colors[series % colors.count] }

  static func text(_ x: Double, _ y: Double, _ text: String, anchor: String = "start") -> String {
    "<text x=\"\(x.digits(1))\" y=\"\(y.digits(1))\" text-anchor=\"\(anchor)\">\(text.escaped)</text>\n"
  }

  static func line(_ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double, _ color: String) -> String {
    "<line x1=\"\(x1.digits(1))\" y1=\"\(y1.digits(1))\" x2=\"\(x2.digits(1))\" y2=\"\(y2.digits(1))\" stroke=\"\(color)\"/>\n"
  }

  static func legend(_ names: [String], y: Double) -> String {
    var x = 10.0
    return names.enumerated().map { series, name in
      defer { x += 40 + 8 * Double(name.count) }
      return "<circle cx=\"\(x)\" cy=\"\(y - 4)\" r=\"5\" fill=\"\(color(series))\"/>\n" + text(x + 10, y, name)
    }.joined()
  }

  static func svg(width: Double, height: Double, _ body: String) -> String {
    "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 \(width.digits(0)) \(height.digits(0))\" width=\"\(width.digits(0))\""
      + " font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\(body)</svg>\n"
  }

  /// A line for each row, with a dot for each series at its ratio, on a logarithmic scale.
  /// - Parameter rows: a ratio for each series; nil for none. What is beyond the scale, 1/16 to 16, is drawn at its end.
  public static func dots(series: [String], rows: [(name: String, ratios: [Double?])]) -> String {
    let left = 190.0, width = 900.0, top = 50.0, step = 18.0
    let bottom = top + step * Double(rows.count)
    func x(_ ratio: Double) -> Double { left + (width - left - 30) * (min(max(log2(ratio), -4), 4) + 4) / 8 }
    var body = legend(series, y: 20)
    for power in -4...4 {
      let ratio = pow(2, Double(power))
      body += line(x(ratio), top - 5, x(ratio), bottom, power == 0 ? "#555" : "#ddd")
      body += text(x(ratio), top - 10, power < 0 ? "1/\(1 << -power)" : "\(1 << power)", anchor: "middle")
    }
    for (index, row) in rows.enumerated() {
      let y = top + step * (Double(index) + 0.5)
      body += text(left - 10, y + 4, row.name, anchor: "end")
      // The first series on top.
      for (number, ratio) in row.ratios.enumerated().reversed() {
        guard let ratio else { continue }
        body += "<circle cx=\"\(x(ratio).digits(1))\" cy=\"\(y.digits(1))\" r=\"\(number == 0 ? 5 : 4)\" fill=\"\(color(number))\"/>\n"
      }
    }
    return svg(width: width, height: bottom + 10, body)
  }

  /// A curve for each series over the same steps, from 0 upwards.
  /// - Parameter curves: as many values as there are labels.
  public static func curves(labels: [String], unit: String, curves: [(name: String, values: [Double])]) -> String {
    let left = 60.0, width = 900.0, top = 40.0, height = 380.0, bottom = height - 40
    let highest = curves.flatMap(\.values).max() ?? 0
    let limit = highest > 0 ? highest * 1.05 : 1
    func x(_ index: Int) -> Double { left + (width - left - 30) * Double(index) / Double(max(1, labels.count - 1)) }
    func y(_ value: Double) -> Double { bottom - (bottom - top) * value / limit }
    var body = legend(curves.map(\.name), y: 20)
    for fifth in 0...4 {
      let value = highest * Double(fifth) / 4
      body += line(left, y(value), width - 30, y(value), "#ddd") + text(left - 6, y(value) + 4, value.digits(0), anchor: "end")
    }
    body += text(left - 6, top - 8, unit, anchor: "end")
    for (index, label) in labels.enumerated() { body += text(x(index), bottom + 18, label, anchor: "middle") }
    for (number, curve) in curves.enumerated() {
      // Curves that coincide stay visible side by side.
      let shift = 1.5 * Double(number)
      let points = curve.values.enumerated().map { "\(x($0).digits(1)),\((y($1) - shift).digits(1))" }.joined(separator: " ")
      body += "<polyline points=\"\(points)\" fill=\"none\" stroke=\"\(color(number))\" stroke-width=\"2\"/>\n"
    }
    return svg(width: width, height: height, body)
  }

  /// A page that needs nothing from elsewhere.
  public static func page(title: String, _ body: String) -> String {
    """
    <!DOCTYPE html>
    <html lang="en"><head><meta charset="utf-8"><title>\(title.escaped)</title><style>
    body { font: 14px sans-serif; margin: 2em auto; max-width: 1100px }
    table { border-collapse: collapse } td, th { padding: 2px 10px; border-bottom: 1px solid #ddd; text-align: right }
    td:first-child, th:first-child { text-align: left } pre { background: #f4f4f4; padding: 1em }
    </style></head><body>
    <h1>\(title.escaped)</h1>
    \(body)</body></html>

    """
  }
}
