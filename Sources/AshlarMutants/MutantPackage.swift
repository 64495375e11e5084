import AshlarSuite
import Foundation

/// A copy of the package with every defect in it, and the program that is built of it.
public struct MutantPackage {
  public let root: URL
  /// The copy.
  public let copy: URL
  public let defects: [Defect]

  public init(root: URL, defects: [Defect], folder: String = ".build-mutants") {
    self.root = root
    self.defects = defects
    copy = root.appending(path: folder)
  }

  public var program: URL { copy.appending(path: ".build/release/ashlar") }

  /// Writes the copy. Files that are as they were are left alone, for the sake of the next build.
  public func write() throws {
    let files = FileManager.default
    var written = Set<String>()
    for item in ["Package.swift", "Package.resolved", "Sources", "Tests"] {
      for path in try paths(below: item) {
        let text = try Data(contentsOf: root.appending(path: path))
        try write(try rewritten(path, text), to: path)
        written.insert(path)
      }
    }
    try write(Data(Self.choice.utf8), to: "Sources/Ashlar/System/Defect.swift")
    try write(Data(table.utf8), to: "Sources/CAshlar/ashlar_defect.c")
    written.formUnion(["Sources/Ashlar/System/Defect.swift", "Sources/CAshlar/ashlar_defect.c"])
    for path in try paths(below: "Sources", of: copy) where !written.contains(path) {
      try files.removeItem(at: copy.appending(path: path))
    }
  }

  /// Builds the copy in release. Answers the compiler's output where that fails.
  public func build() throws -> String? {
    let run = try ChildProcess.run(
      URL(filePath: "/usr/bin/env"), ["swift", "build", "-c", "release", "--product", "ashlar", "--package-path", copy.path],
      seconds: 3000)
    return run.end == .exit(0) ? nil : run.output
  }

  private func rewritten(_ path: String, _ data: Data) throws -> Data {
    var text = String(decoding: data, as: UTF8.self)
    let mine = defects.enumerated().filter { $0.element.file == path }.map { (number: $0.offset + 1, defect: $0.element) }
    if !mine.isEmpty { text = try Schema.rewrite(text, mine) }
    if path == "Sources/CAshlar/include/CAshlar.h" {
      text = text.replacing("struct ashlar_globals {", with: Self.declaration + "struct ashlar_globals {", maxReplacements: 1)
    }
    return Data(text.utf8)
  }

  private func write(_ data: Data, to path: String) throws {
    let target = copy.appending(path: path)
    if let old = try? Data(contentsOf: target), old == data { return }
    try FileManager.default.createDirectory(at: target.deletingLastPathComponent(), withIntermediateDirectories: true)
    try data.write(to: target)
  }

  private func paths(below item: String, of folder: URL? = nil) throws -> [String] {
    let base = folder ?? root
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: base.appending(path: item).path, isDirectory: &isFolder) else { return [] }
    guard isFolder.boolValue else { return [item] }
    return try FileManager.default.subpathsOfDirectory(atPath: base.appending(path: item).path).map { "\(item)/\($0)" }
      .filter {
        var isFolder: ObjCBool = false
        return FileManager.default.fileExists(atPath: base.appending(path: $0).path, isDirectory: &isFolder) && !isFolder.boolValue
      }
  }

  // MARK: The switch

  /// Whether a program's machine code has the switch: a symbol of its own, which a text that names it is not.
  public static func isSwitchable(_ program: URL) throws -> Bool {
    // Put together here, so as not to be found here.
    let symbol = [0] + ["ashlar", "reached"].joined(separator: "_").utf8 + [0]
    return try Data(contentsOf: program, options: .mappedIfSafe).range(of: Data(symbol)) != nil
  }

  private static let declaration = """
    extern ASHLAR_HIDDEN int ashlar_defect;
    extern ASHLAR_HIDDEN unsigned char *ashlar_reached;
    ASHLAR_INLINE int ashlar_seeded_defect(int number) {
      if (ashlar_reached) ashlar_reached[number] = 1;
      return ashlar_defect == number;
    }


    """

  private static let choice = """
    import CAshlar

    @usableFromInline
    package enum Defect {
      @inlinable @inline(__always)
      package static func isSeeded(_ number: Int32) -> Bool { ashlar_seeded_defect(number) != 0 }
    }

    """

  // Before anything allocates; a name that is none is no run at all.
  private var table: String {
    """
    #include "CAshlar.h"

    #include <fcntl.h>
    #include <stdlib.h>
    #include <string.h>
    #include <sys/mman.h>
    #include <unistd.h>

    int ashlar_defect;
    unsigned char *ashlar_reached;

    // Shared with children, and there when one is killed.
    static void note_places(const char *path, size_t count) {
      int file = open(path, O_RDWR);
      if (file < 0) exit(64);
      void *places = mmap(NULL, count, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
      if (places != MAP_FAILED) ashlar_reached = places;
      close(file);
    }

    static const char *const names[] = {\(defects.map { "\"\($0.name)\"" }.joined(separator: ", "))};

    __attribute__((constructor(101))) static void choose_defect(void) {
      const char *path = getenv("ASHLAR_REACHED");
      if (path && *path) note_places(path, sizeof names / sizeof *names + 1);
      const char *name = getenv("ASHLAR_DEFECT");
      if (!name || !*name) return;
      for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(name, names[i]) == 0) ashlar_defect = (int)i + 1;
      }
      if (!ashlar_defect) exit(64);
    }

    """
  }
}
