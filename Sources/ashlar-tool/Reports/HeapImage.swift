import AshlarSuite

/// A heap as a picture: a pixel for each 64 KiB, 16 MiB a row, rows of which nothing is live left out.
struct HeapImage {
  static let pagesPerRow = 256
  private let picture: HeapPicture

  init(_ picture: HeapPicture) { self.picture = picture }

  /// Size bands of small blocks, by the largest size in each; a page is the darker the more of it is live.
  private static let bands: [(limit: Int, name: String, color: (Int, Int, Int))] = [
    (256, "blocks to 256 B", (22, 96, 167)), (4 << 10, "to 4 KiB", (0, 131, 143)), (64 << 10, "to 64 KiB", (46, 125, 50)),
    (1 << 20, "to 1 MiB", (158, 157, 36)),
  ]
  private static let shades = 4
  private static let medium = bands.count * shades + 1
  private static let guarded = medium + 1

  private static let palette: [(UInt8, UInt8, UInt8)] = {
    var palette: [(UInt8, UInt8, UInt8)] = [(236, 236, 236)]
    for band in bands {
      for shade in 1...shades { palette.append(mixed(band.color, shade)) }
    }
    return palette + [(230, 126, 34), (142, 68, 173)]
  }()

  private static func mixed(_ color: (Int, Int, Int), _ shade: Int) -> (UInt8, UInt8, UInt8) {
    func part(_ value: Int) -> UInt8 { UInt8(236 + (value - 236) * shade / shades) }
    return (part(color.0), part(color.1), part(color.2))
  }

  private static func value(_ page: HeapPicture.Page) -> UInt8 {
    switch page {
    case .empty: return 0
    case .small(let size, let percent):
      let band = bands.firstIndex { size <= $0.limit } ?? bands.count - 1
      return UInt8(band * shades + 1 + min(shades - 1, percent * shades / 100))
    case .medium: return UInt8(medium)
    case .guarded: return UInt8(guarded)
    }
  }

  private var rows: [ArraySlice<HeapPicture.Page>] {
    stride(from: 0, to: picture.pages.count, by: Self.pagesPerRow)
      .map { picture.pages[$0..<min($0 + Self.pagesPerRow, picture.pages.count)] }
      .filter { row in row.contains { $0 != .empty } }
  }

  /// The image, and what its colours mean.
  var html: String {
    let bitmap = Bitmap(width: Self.pagesPerRow, palette: Self.palette, pixels: rows.flatMap { $0.map(Self.value) })
    var legend = [(Self.palette[0], "nothing live")]
    for (index, band) in Self.bands.enumerated() { legend.append((Self.palette[(index + 1) * Self.shades], band.name)) }
    legend += [(Self.palette[Self.medium], "medium block"), (Self.palette[Self.guarded], "guarded block")]
    let keys = legend.map { color, name in
      "<span class=\"key\"><i style=\"background:rgb(\(color.0),\(color.1),\(color.2))\"></i>\(name)</span>"
    }
    return """
      <p>\(keys.joined(separator: " "))</p>
      <img class="heap" width="\(bitmap.width * 4)" height="\(bitmap.height * 4)" alt="the heap" src="\(bitmap.address)">
      """
  }
}
