import Foundation

/// A picture of few colours, as a BMP file: eight bits a pixel, uncompressed.
struct Bitmap {
  let width: Int
  /// Red, green and blue of each value that a pixel may have; at most 256.
  let palette: [(UInt8, UInt8, UInt8)]
  /// Values, row by row from the top; the last row is filled up with 0.
  let pixels: [UInt8]

  var height: Int { (pixels.count + width - 1) / width }

  var file: Data {
    let rowBytes = (width + 3) & ~3
    let offset = 14 + 40 + 4 * palette.count
    var data = Data("BM".utf8)
    func append(_ value: Int) { withUnsafeBytes(of: UInt32(value).littleEndian) { data.append(contentsOf: $0) } }
    append(offset + rowBytes * height)
    append(0)
    append(offset)
    append(40)
    append(width)
    append(height)
    append(1 | 8 << 16)
    append(0)
    append(rowBytes * height)
    append(0)
    append(0)
    append(palette.count)
    append(0)
    for (red, green, blue) in palette { data.append(contentsOf: [blue, green, red, 0]) }
    // Rows are stored from the bottom.
    for row in (0..<height).reversed() {
      let values = pixels[(row * width)..<min((row + 1) * width, pixels.count)]
      data.append(contentsOf: values)
      data.append(Data(count: rowBytes - values.count))
    }
    return data
  }

  /// As the address of an image in a page.
  var address: String { "data:image/bmp;base64," + file.base64EncodedString() }
}
