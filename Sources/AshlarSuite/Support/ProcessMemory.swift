import Glibc

/// What the system says this process takes.
public enum ProcessMemory {
  /// Bytes resident, or 0 where the system doesn't tell.
  public static var resident: Int { statm(1) }

  /// Bytes of address space mapped, or 0.
  public static var mapped: Int { statm(0) }

  /// Bytes of memory that the system could give out now without swapping.
  public static var available: Int {
    for line in text("/proc/meminfo").split(separator: "\n") where line.hasPrefix("MemAvailable:") {
      return (line.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0) * 1024
    }
    return 0
  }

  private static func statm(_ field: Int) -> Int {
    let fields = text("/proc/self/statm").split(separator: " ")
    return fields.count > field ? (Int(fields[field]) ?? 0) * Int(getpagesize()) : 0
  }

  private static func text(_ path: String) -> String {
    let descriptor = open(path, O_RDONLY)
    guard descriptor >= 0 else { return "" }
    defer { close(descriptor) }
    var bytes = [UInt8](repeating: 0, count: 8192)
    let count = read(descriptor, &bytes, bytes.count)
    return String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
  }
}
