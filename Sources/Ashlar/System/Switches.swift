import CAshlar

/// What the environment turns on, off, up and down. Read once, when the allocator starts.
///
/// | variable             | value                                  | default     |
/// |----------------------|----------------------------------------|-------------|
/// | `ASHLAR_REGION`      | address space for small and medium blocks, 4 MiB to 1 TiB | 256 GiB (1 GiB under memcheck) |
/// | `ASHLAR_CACHE`       | to what the threads' caches may grow, in percent, 0 to 100 | 100    |
/// | `ASHLAR_DEPOT`       | bytes a class keeps in its global stack when it needs them, 0 to 1 GiB | 1 MiB |
/// | `ASHLAR_SURPLUS`     | bytes that all classes keep there above that, 0 to 1 TiB  | 32 MiB  |
/// | `ASHLAR_RETAIN`      | bytes of freed memory kept on each level, 0 to 1 TiB      | 256 MiB |
/// | `ASHLAR_DELAY`       | milliseconds that freed memory is kept, 0 to 1000000000   | 1000    |
/// | `ASHLAR_HUGE_PAGES`  | 1: ask for huge pages for huge blocks, 0: don't           | 1       |
/// | `ASHLAR_TRACK`       | 1: record where every block was allocated, report leaks at exit | 0 |
/// | `ASHLAR_STATISTICS`  | 1: print the counters, and where memory is free, at exit  | 0       |
/// | `ASHLAR_GUARD`       | guard one block in so many with header and canary; 0: none, 1: all | 0 (1 under AddressSanitizer and memcheck) |
/// | `ASHLAR_QUARANTINE`  | bytes of freed guarded blocks kept for checking, 0 to 1 TiB | 16 MiB |
/// | `ASHLAR_STRICT`      | 1: make memory writable only when it is first handed out  | 1 where the system counts every writable page |
/// | `ASHLAR_SAMPLE`      | put one block in so many before an inaccessible page; 0: none | 0     |
///
/// Sizes take a suffix K, M, G or T. A value that makes no sense is reported on standard error and ignored.
package struct Switches {
  package var region = 256 << 30
  package var cachePercent = 100
  package var depot = 1 << 20
  package var surplus = 32 << 20
  package var retain = 256 << 20
  package var delay = 1000
  package var hugePages = true
  package var track = false
  package var statistics = false
  package var guardInterval = 0
  package var quarantine = 16 << 20
  package var sampleInterval = 0
  package var strict = false

  package init() {}

  /// Defaults, changed by what the environment says.
  package static func fromEnvironment() -> Switches {
    var switches = Switches()
    if ashlar_marks_matter() != 0 { switches.guardInterval = 1 }
    // It keeps a record of all address space that is mapped: a second and 40 MB for each GiB.
    if ashlar_on_memcheck() != 0 { switches.region = 1 << 30 }
    if let environment = ashlar_os_environment() {
      var index = 0
      while let entry = environment[index] {
        switches.apply(entry)
        index += 1
      }
    } else {
      switches.applyProcessEnvironment()
    }
    return switches
  }

  // While the dynamic linker is still at work the C library has no environment yet, but the kernel has.
  private mutating func applyProcessEnvironment() {
    let capacity = 128 << 10
    guard let memory = System.map(capacity) else { return }
    let used = ashlar_os_read_file("/proc/self/environ", memory, capacity - 1)
    let text = memory.assumingMemoryBound(to: CChar.self)
    var start = 0
    while start < used {
      apply(text + start)
      while text[start] != 0 { start += 1 }
      start += 1
    }
    System.unmap(memory, capacity)
  }

  /// Applies one `NAME=value`; what is not ours is passed over.
  package mutating func apply(_ entry: UnsafePointer<CChar>) {
    let tebibyte = 1 << 40
    set(&region, "ASHLAR_REGION=", entry, 4 << 20, tebibyte)
    set(&cachePercent, "ASHLAR_CACHE=", entry, 0, 100)
    set(&depot, "ASHLAR_DEPOT=", entry, 0, 1 << 30)
    set(&surplus, "ASHLAR_SURPLUS=", entry, 0, tebibyte)
    set(&retain, "ASHLAR_RETAIN=", entry, 0, tebibyte)
    set(&delay, "ASHLAR_DELAY=", entry, 0, 1_000_000_000)
    set(&hugePages, "ASHLAR_HUGE_PAGES=", entry)
    set(&track, "ASHLAR_TRACK=", entry)
    set(&statistics, "ASHLAR_STATISTICS=", entry)
    set(&guardInterval, "ASHLAR_GUARD=", entry, 0, 1_000_000_000)
    set(&strict, "ASHLAR_STRICT=", entry)
    set(&quarantine, "ASHLAR_QUARANTINE=", entry, 0, tebibyte)
    set(&sampleInterval, "ASHLAR_SAMPLE=", entry, 0, 1_000_000_000)
  }

  private func set(_ flag: inout Bool, _ name: StaticString, _ entry: UnsafePointer<CChar>) {
    var value = flag ? 1 : 0
    set(&value, name, entry, 0, 1)
    flag = value == 1
  }

  private func set(_ value: inout Int, _ name: StaticString, _ entry: UnsafePointer<CChar>, _ least: Int, _ most: Int) {
    guard let text = Self.text(of: name, in: entry) else { return }
    if let number = Self.number(text), number >= least, number <= most {
      value = number
    } else {
      LineWriter.report { line in
        line.append("ashlar: ")
        line.append(cString: entry)
        line.append(" makes no sense and is ignored: ")
        line.append(least)
        line.append(" to ")
        line.append(most)
        line.append(" is what it takes")
      }
    }
  }

  private static func text(of name: StaticString, in entry: UnsafePointer<CChar>) -> UnsafePointer<CChar>? {
    for index in 0..<name.utf8CodeUnitCount where UInt8(bitPattern: entry[index]) != name.utf8Start[index] { return nil }
    return entry + name.utf8CodeUnitCount
  }

  /// A decimal number with an optional suffix K, M, G or T; nil for anything else, overflow included.
  private static func number(_ text: UnsafePointer<CChar>) -> Int? {
    var value = 0
    var index = 0
    while text[index] >= 48, text[index] <= 57 {
      let (product, overflow) = value.multipliedReportingOverflow(by: 10)
      let (sum, carry) = product.addingReportingOverflow(Int(text[index]) - 48)
      if overflow || carry { return nil }
      value = sum
      index += 1
    }
    guard index > 0 else { return nil }
    guard text[index] != 0 else { return value }
    let shift: Int
    switch UInt8(bitPattern: text[index]) | 32 {
    case 107: shift = 10
    case 109: shift = 20
    case 103: shift = 30
    case 116: shift = 40
    default: return nil
    }
    guard text[index + 1] == 0, value <= Int.max >> shift else { return nil }
    return value << shift
  }
}
