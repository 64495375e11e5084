import Ashlar
import Glibc

/// The pages that a stretch of memory lies in, and which of them the process has.
struct ResidentPages {
  /// Pages that were touched, and those that were not.
  let present: Int
  let missing: Int

  /// Looks now. Where the system does not say, all are missing.
  init(_ start: UnsafeMutableRawPointer, _ bytes: Int) {
    let page = System.pageBytes
    let first = UnsafeMutableRawPointer(bitPattern: UInt(bitPattern: start) & ~UInt(page - 1))!
    var pages = [UInt8](repeating: 0, count: (start + bytes - first + page - 1) / page)
    if mincore(first, pages.count * page, &pages) != 0 { pages = pages.map { _ in 0 } }
    present = pages.filter { $0 & 1 != 0 }.count
    missing = pages.count - present
  }
}
