import CAshlar

/// Where a block was allocated or freed: a line of a Swift file, or the return address of a C call.
package struct Site {
  /// Start of the file's name, or the return address; 0 where it is unknown.
  package var address: UInt
  package var fileLength: Int
  /// 0 for a return address.
  package var line: Int

  package static var unknown: Site { Site(caller: nil) }

  package init(file: StaticString, line: UInt) {
    address = UInt(bitPattern: file.utf8Start)
    fileLength = file.utf8CodeUnitCount
    self.line = Int(line)
  }

  package init(caller: UnsafeMutableRawPointer?) {
    address = UInt(bitPattern: caller)
    fileLength = 0
    line = 0
  }

  var record: ashlar_site {
    ashlar_site(address: UnsafeRawPointer(bitPattern: address), file_length: fileLength, line: line)
  }

  func append(to line: inout LineWriter) {
    if fileLength == 0 {
      line.append("return address ")
      line.append(hexadecimal: address)
    } else {
      let name = UnsafePointer<UInt8>(bitPattern: address).unsafelyUnwrapped
      for index in 0..<fileLength { line.append(byte: name[index]) }
      line.append(":")
      line.append(self.line)
    }
  }
}
