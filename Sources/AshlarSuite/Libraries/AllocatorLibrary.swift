import Foundation

/// An allocator that is tested in child processes: a shared library that is preloaded into them, the C library, or Ashlar.
public struct AllocatorLibrary: Sendable {
  public let name: String
  /// What tells a child which one it is: the file, or one of two words.
  private let source: String
  private let settings: [String: String]

  private init(_ name: String, source: String, settings: [String: String] = [:]) {
    self.name = name
    self.source = source
    self.settings = settings
  }

  private static let ashlarSource = "ashlar"
  private static let cLibrarySource = "libc"

  /// Ashlar as it is linked into the program, plain, with every block guarded, and with every block before a page.
  public static let ashlar = AllocatorLibrary("ashlar", source: ashlarSource)
  public static let ashlarGuarded = AllocatorLibrary("ashlar-guarded", source: ashlarSource, settings: ["ASHLAR_GUARD": "1"])
  public static let ashlarSampled = AllocatorLibrary("ashlar-sampled", source: ashlarSource, settings: ["ASHLAR_SAMPLE": "1"])
  public static let cLibrary = AllocatorLibrary("libc", source: cLibrarySource)
  /// Those that need no file.
  public static let builtIn = [ashlar, ashlarGuarded, ashlarSampled, cLibrary]

  /// A library as it is given on the command line: the name of one that is built in, `PATH`, or `NAME=PATH`. Nil when
  /// there is no such file.
  public init?(argument: String) {
    if let known = Self.builtIn.first(where: { $0.name == argument }) {
      self = known
      return
    }
    let parts = argument.split(separator: "=", maxSplits: 1).map(String.init)
    guard let given = parts.last, given.contains("/"), let path = realpath(given, nil) else { return nil }
    defer { free(path) }
    let file = URL(filePath: given).lastPathComponent
    self.init(parts.count == 2 ? parts[0] : String(file.prefix { $0 != "." }), source: String(cString: path))
  }

  /// The same with variables of the environment set for it.
  public func with(_ settings: [String: String]) -> AllocatorLibrary {
    AllocatorLibrary(name, source: source, settings: self.settings.merging(settings) { $1 })
  }

  private var isPreloaded: Bool { source.contains("/") }

  /// What the child that runs it needs set.
  var environment: [String: String] {
    // gperftools tells of each large block as if it were an error.
    var environment = ["TCMALLOC_LARGE_ALLOC_REPORT_THRESHOLD": "1000000000000"]
    if isPreloaded { environment["LD_PRELOAD"] = source }
    return environment.merging(settings) { $1 }
  }

  var arguments: [String] { ["--library", source] }

  /// In the child: the functions of a library, given by its source. Nil where it was not loaded, or has no malloc.
  public static func functions(source: String) -> MallocFunctions? {
    switch source {
    case ashlarSource: return .ashlar
    case cLibrarySource: return .ofThisProcess()
    default:
      var (given, found) = (stat(), stat())
      guard stat(source, &given) == 0, stat(MallocFunctions.fileOfMalloc, &found) == 0, given.st_ino == found.st_ino,
        given.st_dev == found.st_dev
      else { return nil }
      return .ofThisProcess()
    }
  }
}

/// A library that can't be tested.
public struct MissingLibrary: Error, CustomStringConvertible {
  let library: AllocatorLibrary
  let words: String
  public var description: String {
    "\(library.name) can't be preloaded, or defines no malloc" + (words.isEmpty ? "." : ": \(words)")
  }
}
