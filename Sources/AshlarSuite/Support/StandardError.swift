import Foundation
import Glibc

/// Standard error, for as long as something is to be read from it.
enum StandardError {
  /// What is written there while `body` runs.
  static func captured(_ body: () -> Void) -> String {
    let path = FileManager.default.temporaryDirectory.appending(path: "ashlar-\(UUID().uuidString)").path
    let saved = dup(2)
    let file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0o600)
    dup2(file, 2)
    body()
    dup2(saved, 2)
    close(saved)
    close(file)
    defer { unlink(path) }
    return String(decoding: FileManager.default.contents(atPath: path) ?? Data(), as: UTF8.self)
  }
}
