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

  // MARK: Generated ones

  private func generated(_ body: String) -> [String] {
    Generator.defects(in: "struct S {\n  func f() {\n\(body)\n  }\n}", path: "Sources/Ashlar/S.swift")
      .map { "\($0.name.dropFirst(4)): \($0.original) → \($0.mutated)" }
  }

  @Test func `a comparison is negated, and its limit moved`() {
    #expect(generated("let x = a &+ b < c(d) && e") == [
      "swap-1: a &+ b → a &- b", "negate-1: a &+ b < c(d) → a &+ b >= c(d)", "edge-1: a &+ b < c(d) → a &+ b <= c(d)",
      "swap-2: a &+ b < c(d) && e → a &+ b < c(d) || e",
    ])
    #expect(generated("let x = a != b ? c : d\n  .e") == ["negate-1: a != b → a == b"])
    #expect(generated("let x: Array<Int> = a<b>(c)\n// a < b\nlet y = \"a < \\(b(\"<\")) < c\"").isEmpty)
  }

  @Test func `a condition is forced, and what one binds is nil`() {
    #expect(generated("guard let a = b(), c else { return }") == ["false-1: b() → nil", "true-1: c → true", "false-2: c → false"])
    #expect(generated("while true { if !a { break } }") == ["true-1: !a → true", "false-1: !a → false"])
    #expect(generated("wait(word, while: value)").filter { !$0.hasPrefix("call") }.isEmpty)
  }

  @Test func `a constant is one more, a name with digits and a tuple's member are none`() {
    #expect(generated("let a = b &* 0x9E37_79B9_7F4A_7C15 & 0xFFFF_FFFF") == [
      "swap-1: b &* 0x9E37_79B9_7F4A_7C15 & 0xFFFF_FFFF → b &* 0x9E37_79B9_7F4A_7C15 | 0xFFFF_FFFF",
      "constant-1: 0xFFFF_FFFF → 0xFFFF_FFFF + 1",
    ])
    #expect(generated("let a1 = 0x1F - b.0") == ["constant-1: 0x1F → 0x1F + 1", "swap-1: 0x1F - b.0 → 0x1F + b.0"])
  }

  @Test func `a call is left out where nobody uses what it answers`() {
    #expect(generated("a.b(c) { d in e(d) }\nlet x = f()\nreturn g()\n_ = h()?.i()\nj = k()") == [
      "call-1: a.b(c) { d in e(d) } → ()", "call-2: _ = h()?.i() → ()",
    ])
    #expect(generated("a &+= b") == ["swap-1: a &+= b → a &-= b"])
  }

  @Test func `the generated defects have names of their own, and apply`() throws {
    let all = try Generator.defects(root: packageRoot)
    #expect(all.count > 3000 && Set(all.map(\.name)).count == all.count)
    for (file, those) in Dictionary(grouping: all, by: \.file) {
      let text = try String(contentsOf: packageRoot.appending(path: file), encoding: .utf8)
      #expect(throws: Never.self) { try Schema.rewrite(text, those.enumerated().map { ($0.offset + 1, $0.element) }) }
      for defect in those where defect.original == defect.mutated { Issue.record("\(defect.name) changes nothing") }
    }
  }

  @Test func `a name outlives edits of other functions`() {
    let old = Generator.defects(in: "func a() { b() }\nfunc c() { if d { e() } }", path: "S.swift")
    let new = Generator.defects(in: "func f() { if g == 1 { b() } }\n\nfunc c() { if d { e() } }", path: "S.swift")
    #expect(old.filter { $0.name.hasPrefix("S.c.") }.map(\.name) == ["S.c.true-1", "S.c.false-1", "S.c.call-1"])
    #expect(new.filter { $0.name.hasPrefix("S.c.") }.map(\.name) == ["S.c.true-1", "S.c.false-1", "S.c.call-1"])
  }

  @Test func `a sample takes of each file its share, and another seed others`() throws {
    let all = try Generator.defects(root: packageRoot)
    let (sample, other) = (Sample(count: 400, seed: 1).taken(from: all), Sample(count: 400, seed: 2).taken(from: all))
    #expect((370...430).contains(sample.count) && Sample(count: 400, seed: 1).taken(from: all).map(\.name) == sample.map(\.name))
    #expect(Set(sample.map(\.name)) != Set(other.map(\.name)) && Set(other.map(\.file)) == Set(sample.map(\.file)))
    #expect(Sample(count: all.count, seed: 1).taken(from: all).count == all.count)
    let parts = (1...8).flatMap { Sample.part($0, of: 8, from: all) }.map(\.name)
    #expect(parts.sorted() == all.map(\.name).sorted() && parts != all.map(\.name))
  }

  @Test func `every listed survivor is a generated defect, at the place that was meant`() throws {
    let all = Dictionary(grouping: try Generator.defects(root: packageRoot), by: \.name)
    for survivor in try SurvivorList.read(root: packageRoot) {
      #expect(all[survivor.name]?.contains(where: survivor.isStill) == true, "\(survivor.name) is not at \(survivor.place)")
    }
    #expect(throws: DefectList.Malformed.self) { try SurvivorList.parse("- a.b: c") }
    #expect(try SurvivorList.parse("why: as before\n- a.b: c == d").first?.reason == "as before")
  }
}
