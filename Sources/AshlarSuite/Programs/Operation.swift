/// The verbs of operation programs: what a program does with an allocator, rightly or wrongly. Blocks are named by slots.
public enum Operation: Int, CaseIterable, Sendable {
  /// Fills a slot, which is freed first if it holds a block.
  case allocate
  case reallocate, free, measure
  /// The contents of all live blocks are looked at.
  case verify
  /// The heap's records are held against each other.
  case check
  /// Free memory goes back to the system: all of it, or only what no cache and no global stack holds.
  case trim, purge
  /// What follows is done by this thread; or that one exits, and is a new one when it is next named.
  case thread, endThread
  /// A call that must be reported, and change nothing.
  case misuse
  /// The usable size of an address near a block is asked for; there is none but at the start of one.
  case probe
  /// A byte is written that is no part of a guarded block any more, or never was.
  case damage
  /// Which blocks are guarded from here on.
  case guards
  /// The so-and-so-manieth memory call to the system from here on fails; 0 for none.
  case fail
  /// Allocation sites are recorded from here on, or no more.
  case track
  /// Every huge block goes at once.
  case releaseHuge
  /// What is counted for each class and order is held against what is counted for the levels.
  case count
  /// A request that is none is made: it must be refused with the right error.
  case refuse
  /// What an access would be reported as, in the page behind a block or before it where that is an inaccessible one.
  case access

  public static let slots = 64
  public static let threads = 4

  private var verb: Grammar.Verb {
    switch self {
    case .allocate:
      Grammar.Verb(
        "allocate", .number(below: Self.slots), .bits("size", 31), .power("alignment", exponents: 24), .flag("zeroed"))
    case .reallocate: Grammar.Verb("reallocate", .number(below: Self.slots), .bits("size", 31))
    case .free: Grammar.Verb("free", .number(below: Self.slots), .flag("sized"))
    case .measure: Grammar.Verb("measure", .number(below: Self.slots))
    case .verify: Grammar.Verb("verify")
    case .check: Grammar.Verb("check")
    case .trim: Grammar.Verb("trim")
    case .purge: Grammar.Verb("purge")
    case .thread: Grammar.Verb("thread", .number(below: Self.threads))
    case .endThread: Grammar.Verb("end-thread", .number(below: Self.threads))
    case .misuse:
      Grammar.Verb("misuse", .number(below: Self.slots), .word(MisuseCase.Act.allCases.map(\.word)), .word(Mistake.allCases.map(\.rawValue)))
    case .probe: Grammar.Verb("probe", .number(below: Self.slots), .bits("offset", 12), .flag("before"))
    case .damage: Grammar.Verb("damage", .number(below: Self.slots), .word(Harm.allCases.map(\.rawValue)))
    case .guards: Grammar.Verb("guards", .number("canaries", below: 9), .number("pages", below: 9))
    case .fail: Grammar.Verb("fail", .number("call", below: 128), .flag("onwards"))
    case .track: Grammar.Verb("track", .flag("on"))
    case .releaseHuge: Grammar.Verb("release-huge")
    case .count: Grammar.Verb("count")
    case .refuse: Grammar.Verb("refuse", .word(NoRequest.allCases.map(\.rawValue)))
    case .access: Grammar.Verb("access", .number(below: Self.slots), .bits("offset", 12), .flag("before"))
    }
  }

  /// The grammar of operation programs, in which a fuzzer uses the verbs that are named, each as often as its number says.
  public static func grammar(_ weights: [Operation: Int]) -> Grammar {
    let names = allCases.map { ($0.verb.name, weights[$0] ?? 0) }
    return Grammar(allCases.map(\.verb), weights: Dictionary(uniqueKeysWithValues: names))
  }
}

/// Why a request is none.
enum NoRequest: String, CaseIterable, Sendable {
  case negative, unaligned
  case oddlyAligned = "oddly-aligned"
  case beyondAlignment = "beyond-alignment"
  /// No system has so much.
  case everything
}

/// What is wrong with the pointer, or the size, of a misuse.
enum Mistake: String, CaseIterable, Sendable {
  /// The block that the slot held last.
  case freed
  case secondByte = "second-byte"
  case secondGranule = "second-granule"
  case lastGranule = "last-granule"
  /// One byte more than the block has, where a size is given.
  case tooLarge = "too-large"
  // Nothing of ours.
  case stack, library, function, variable, unmapped
  case behindRegion = "behind-region"
  case one, sixteen, middle, last
  case lastOfAll = "last-granule-of-all"

  /// Who can provide a pointer that is nothing of ours.
  var stranger: Victim? { Self.strangers[self] }

  // Looked up in every step of a fuzzer's program.
  private static let strangers: [Mistake: Victim] = {
    let names: [Mistake: String] = [
      .stack: "an address on the stack", .library: "a block of the C library", .function: "a function",
      .variable: "a static variable", .unmapped: "a page that is not mapped",
      .behindRegion: "the first address behind the region", .one: "address 1", .sixteen: "address 16",
      .middle: "the middle of the address space", .last: "the last address", .lastOfAll: "the last granule",
    ]
    let victims = Victim.foreign
    return names.mapValues { name in victims.first { $0.name == name }! }
  }()
}

/// How a guarded block is damaged.
enum Harm: String, CaseIterable, Sendable {
  case overflow, underflow
  case writeAfterFree = "write-after-free"

  /// As it is reported.
  var kind: String { rawValue.split(separator: "-").joined(separator: " ") }
}

extension MisuseCase.Act {
  var word: String { rawValue.split(separator: " ").joined(separator: "-") }
}
