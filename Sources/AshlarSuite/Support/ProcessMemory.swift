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

  /// The flags of the mapping that an address lies in, two letters each (proc(5): smaps); none where the system doesn't tell.
  static func flags(of address: UnsafeRawPointer) -> [Substring] {
    let lines = text("/proc/self/smaps").split(separator: "\n").drop { permissions(in: $0, of: address) == nil }
    return lines.first { $0.hasPrefix("VmFlags:") }?.split(separator: " ").dropFirst().map { $0 } ?? []
  }

  /// Whether the system lets the process write there.
  static func isWritable(_ address: UnsafeRawPointer) -> Bool {
    text("/proc/self/maps").split(separator: "\n").lazy.compactMap { permissions(in: $0, of: address) }.first?.contains("w") ?? false
  }

  // A line of a mapping: its addresses and what may be done there. Nil where it is another's.
  private static func permissions(in line: Substring, of address: UnsafeRawPointer) -> Substring? {
    guard let match = line.prefixMatch(of: #/([0-9a-f]+)-([0-9a-f]+) ([rwxps-]+) /#), let start = UInt(match.1, radix: 16),
      let end = UInt(match.2, radix: 16), (start..<end).contains(UInt(bitPattern: address))
    else { return nil }
    return match.3
  }

  private static func statm(_ field: Int) -> Int {
    let fields = text("/proc/self/statm").split(separator: " ")
    return fields.count > field ? (Int(fields[field]) ?? 0) * Int(getpagesize()) : 0
  }

  private static func text(_ path: String) -> String {
    let descriptor = open(path, O_RDONLY)
    guard descriptor >= 0 else { return "" }
    defer { close(descriptor) }
    // The system says how long it is by its end alone.
    var (all, bytes) = ([UInt8](), [UInt8](repeating: 0, count: 8192))
    while case let count = read(descriptor, &bytes, bytes.count), count > 0 { all += bytes.prefix(count) }
    return String(decoding: all, as: UTF8.self)
  }
}
