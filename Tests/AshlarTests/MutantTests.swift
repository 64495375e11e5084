import AshlarMutants
import AshlarSuite
import Foundation
import Testing

/// The list of seeded defects, held against the sources that it names.
@Suite struct MutantTests {
  private let defects: [Defect]

  init() throws { defects = try DefectList.read(root: packageRoot) }

  @Test func `every defect has its place, once, and places lie apart or within each other`() throws {
    for (file, those) in Dictionary(grouping: defects, by: \.file) {
      let text = try String(contentsOf: packageRoot.appending(path: file), encoding: .utf8)
      #expect(throws: Never.self) { try Schema.rewrite(text, those.enumerated().map { ($0.offset + 1, $0.element) }) }
      for defect in those where defect.original == defect.mutated { Issue.record("\(defect.name) changes nothing") }
    }
  }

  @Test func `names are unique, and every defect says what it does`() {
    #expect(Set(defects.map(\.name)).count == defects.count)
    #expect(defects.allSatisfy { $0.name.wholeMatch(of: #/[a-z0-9]+(-[a-z0-9]+)*/#) != nil && $0.effect.hasSuffix(".") })
  }

  @Test func `every class of the stock is there, and every level, bound and state`() {
    #expect(Set(defects.flatMap(\.classes)) == Set(1...25))
    #expect(Set(defects.flatMap(\.kinds)).isSubset(of: Set((1...25).map(String.init) + ["bound", "state"])))
    let folders = Set(defects.map { $0.file.split(separator: "/")[2] })
    for folder in ["Caches", "Depots", "Slabs", "Medium", "Direct", "Guards", "Diagnostics", "Front", "CInterface"] {
      #expect(folders.contains(Substring(folder)), "nothing in \(folder)")
    }
  }

  @Test func `every expected finder exists`() {
    let names = Set(Model.all.map { "explore \($0.name)" } + Battery.checks.map { "check \($0.name)" })
    for defect in defects { #expect(Set(defect.killers.map(\.description)).isSubset(of: names), "\(defect.name)") }
  }

  @Test func `a place within another is rewritten in the original half`() throws {
    var (outer, inner) = (Defect(), Defect())
    (outer.name, outer.kind, outer.original, outer.mutated) = ("outer", .statement, "if a < b { c() }", "c()")
    (inner.name, inner.original, inner.mutated) = ("inner", "«a < b» {", "a <= b")
    #expect(try Schema.rewrite("x()\nif a < b { c() }\ny()", [(2, outer), (1, inner)]) == """
      x()
      if Defect.isSeeded(2) {
      c()
      } else {
      if (Defect.isSeeded(1) ? (a <= b) : (a < b)) { c() }
      }
      y()
      """)
    inner.original = "b { c() }\ny"
    #expect(throws: Schema.Misplaced.self) { try Schema.rewrite("if a < b { c() }\ny()", [(2, outer), (1, inner)]) }
    inner.original = "nothing"
    #expect(throws: Schema.Misplaced.self) { try Schema.rewrite("x()", [(1, inner)]) }
  }
}
