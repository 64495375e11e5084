import Ashlar
import Glibc

/// The C functions of an allocator, called through pointers, so that the compiler takes nothing for granted of them.
///
/// What a library does not define is nil, or done by the functions that it has.
public struct MallocFunctions: @unchecked Sendable {
  public typealias Pointer = UnsafeMutableRawPointer

  enum Function: UInt {
    case malloc = 1, calloc, realloc, reallocarray, free, sizedFree
    case alignedAlloc, posixMemalign, memalign, valloc, pvalloc, usableSize, trim

    /// A call of it, for a person.
    func text(_ first: Int, _ second: Int, _ third: Int) -> String {
      func address(_ number: Int) -> String { number == 0 ? "NULL" : hex(UInt(bitPattern: number)) }
      return switch self {
      case .malloc: "malloc(\(UInt(bitPattern: first)))"
      case .calloc: "calloc(\(UInt(bitPattern: first)), \(UInt(bitPattern: second)))"
      case .realloc: "realloc(\(address(first)), \(UInt(bitPattern: second)))"
      case .reallocarray: "reallocarray(\(address(first)), \(UInt(bitPattern: second)), \(UInt(bitPattern: third)))"
      case .free: "free(\(address(first)))"
      case .sizedFree: "sized free(\(address(first)), \(UInt(bitPattern: second)))"
      case .alignedAlloc: "aligned_alloc(\(UInt(bitPattern: first)), \(UInt(bitPattern: second)))"
      case .posixMemalign: "posix_memalign(alignment \(UInt(bitPattern: first)), size \(UInt(bitPattern: second)))"
      case .memalign: "memalign(\(UInt(bitPattern: first)), \(UInt(bitPattern: second)))"
      case .valloc: "valloc(\(UInt(bitPattern: first)))"
      case .pvalloc: "pvalloc(\(UInt(bitPattern: first)))"
      case .usableSize: "malloc_usable_size(\(address(first)))"
      case .trim: "malloc_trim(\(first))"
      }
    }
  }

  /// Blocks that are given back with their size: C23's free_sized where there is one, else C++'s operators.
  struct Sized {
    let allocate: @convention(c) (Int) -> Pointer?
    let free: @convention(c) (Pointer?, Int) -> Void
    /// Whether `allocate` is malloc.
    let isOfC: Bool
  }

  private let mallocFunction: @convention(c) (Int) -> Pointer?
  private let callocFunction: @convention(c) (Int, Int) -> Pointer?
  private let reallocFunction: @convention(c) (Pointer?, Int) -> Pointer?
  private let freeFunction: @convention(c) (Pointer?) -> Void
  private let reallocarrayFunction: (@convention(c) (Pointer?, Int, Int) -> Pointer?)?
  private let alignedAllocFunction: (@convention(c) (Int, Int) -> Pointer?)?
  private let posixMemalignFunction: (@convention(c) (UnsafeMutablePointer<Pointer?>, Int, Int) -> Int32)?
  private let memalignFunction: (@convention(c) (Int, Int) -> Pointer?)?
  private let vallocFunction: (@convention(c) (Int) -> Pointer?)?
  private let pvallocFunction: (@convention(c) (Int) -> Pointer?)?
  private let usableSizeFunction: (@convention(c) (Pointer?) -> Int)?
  private let trimFunction: (@convention(c) (Int) -> Int32)?
  let sized: Sized?
  /// Whether every block is aligned to 16 and a size of 0 is resized to as well as any other, which no standard asks.
  let promisesMore: Bool
  /// Where what is done is written down, if anywhere.
  var journal: Journal?

  // MARK: Calls

  @inline(__always)
  private func during<Result>(
    _ function: Function, _ first: Int, _ second: Int = 0, _ third: Int = 0, _ call: () -> Result
  ) -> Result {
    guard let journal else { return call() }
    return journal.during(function, first, second, third, call)
  }

  func malloc(_ size: Int) -> Pointer? { during(.malloc, size) { mallocFunction(size) } }
  func calloc(_ count: Int, _ size: Int) -> Pointer? { during(.calloc, count, size) { callocFunction(count, size) } }
  func realloc(_ block: Pointer?, _ size: Int) -> Pointer? {
    during(.realloc, Int(bitPattern: block), size) { reallocFunction(block, size) }
  }
  func free(_ block: Pointer?) { during(.free, Int(bitPattern: block)) { freeFunction(block) } }
  func sizedFree(_ block: Pointer?, _ size: Int) {
    during(.sizedFree, Int(bitPattern: block), size) { sized?.free(block, size) }
  }

  /// The functions below: nil where the library has none.
  var reallocarray: ((Pointer?, Int, Int) -> Pointer?)? {
    reallocarrayFunction.map { function in
      { block, count, size in during(.reallocarray, Int(bitPattern: block), count, size) { function(block, count, size) } }
    }
  }
  var usableSize: ((Pointer?) -> Int)? {
    usableSizeFunction.map { function in { block in during(.usableSize, Int(bitPattern: block)) { function(block) } } }
  }
  var trim: (() -> Void)? {
    trimFunction.map { function in { _ = during(.trim, 0) { function(0) } } }
  }
  var posixMemalign: ((UnsafeMutablePointer<Pointer?>, Int, Int) -> Int32)? {
    posixMemalignFunction.map { function in
      { block, alignment, size in during(.posixMemalign, alignment, size) { function(block, alignment, size) } }
    }
  }
  var alignedAlloc: ((Int, Int) -> Pointer?)? { aligned(.alignedAlloc, alignedAllocFunction) }
  var memalign: ((Int, Int) -> Pointer?)? { aligned(.memalign, memalignFunction) }
  var valloc: ((Int) -> Pointer?)? {
    vallocFunction.map { function in { size in during(.valloc, size) { function(size) } } }
  }
  var pvalloc: ((Int) -> Pointer?)? {
    pvallocFunction.map { function in { size in during(.pvalloc, size) { function(size) } } }
  }

  private func aligned(_ name: Function, _ function: (@convention(c) (Int, Int) -> Pointer?)?) -> ((Int, Int) -> Pointer?)? {
    function.map { function in { alignment, size in during(name, alignment, size) { function(alignment, size) } } }
  }

  /// What malloc must align a block of this size to: enough for every object that fits into it, 16 at most (C17 7.22.3
  /// as WG14 N2293 reads it).
  func leastAlignment(size: Int) -> Int {
    promisesMore || size >= 16 ? 16 : size == 0 ? 1 : 1 << (Int.bitWidth - 1 - size.leadingZeroBitCount)
  }
}

// MARK: Where they come from

extension MallocFunctions {
  /// Ashlar's C interface, in this program.
  public static let ashlar = MallocFunctions(
    mallocFunction: { ashlarMalloc(UInt(bitPattern: $0)) },
    callocFunction: { ashlarCalloc(UInt(bitPattern: $0), UInt(bitPattern: $1)) },
    reallocFunction: { ashlarRealloc($0, UInt(bitPattern: $1)) },
    freeFunction: { ashlarFree($0) },
    reallocarrayFunction: { ashlarReallocarray($0, UInt(bitPattern: $1), UInt(bitPattern: $2)) },
    alignedAllocFunction: { ashlarAlignedAlloc(UInt(bitPattern: $0), UInt(bitPattern: $1)) },
    posixMemalignFunction: { ashlarPosixMemalign($0, UInt(bitPattern: $1), UInt(bitPattern: $2)) },
    memalignFunction: { ashlarMemalign(UInt(bitPattern: $0), UInt(bitPattern: $1)) },
    vallocFunction: { ashlarValloc(UInt(bitPattern: $0)) },
    pvallocFunction: { ashlarPvalloc(UInt(bitPattern: $0)) },
    usableSizeFunction: { Int(bitPattern: ashlarMallocUsableSize($0)) },
    trimFunction: { ashlarMallocTrim(UInt(bitPattern: $0)) },
    sized: Sized(
      allocate: { ashlarMalloc(UInt(bitPattern: $0)) }, free: { ashlarFreeSized($0, UInt(bitPattern: $1)) }, isOfC: true),
    promisesMore: true)

  /// Those that this process's `malloc` belongs to: the C library's, or a preloaded library's. A function that another
  /// library would answer is taken for missing.
  public static func ofThisProcess() -> MallocFunctions {
    let own = Object(of: dlsym(nil, "malloc")!)
    func find<Function>(_ name: String, _ type: Function.Type) -> Function? {
      guard let symbol = dlsym(nil, name), Object(of: symbol).base == own.base else { return nil }
      return unsafeBitCast(symbol, to: type)
    }
    func require<Function>(_ name: String, _ type: Function.Type) -> Function {
      unsafeBitCast(dlsym(nil, name)!, to: type)
    }
    let malloc = require("malloc", (@convention(c) (Int) -> Pointer?).self)
    var sized = find("free_sized", (@convention(c) (Pointer?, Int) -> Void).self)
      .map { Sized(allocate: malloc, free: $0, isOfC: true) }
    if sized == nil, let new = find("_Znwm", (@convention(c) (Int) -> Pointer?).self) {
      sized = find("_ZdlPvm", (@convention(c) (Pointer?, Int) -> Void).self).map { Sized(allocate: new, free: $0, isOfC: false) }
    }
    return MallocFunctions(
      mallocFunction: malloc, callocFunction: require("calloc", (@convention(c) (Int, Int) -> Pointer?).self),
      reallocFunction: require("realloc", (@convention(c) (Pointer?, Int) -> Pointer?).self),
      freeFunction: require("free", (@convention(c) (Pointer?) -> Void).self),
      reallocarrayFunction: find("reallocarray", (@convention(c) (Pointer?, Int, Int) -> Pointer?).self),
      alignedAllocFunction: find("aligned_alloc", (@convention(c) (Int, Int) -> Pointer?).self),
      posixMemalignFunction: find("posix_memalign", (@convention(c) (UnsafeMutablePointer<Pointer?>, Int, Int) -> Int32).self),
      memalignFunction: find("memalign", (@convention(c) (Int, Int) -> Pointer?).self),
      vallocFunction: find("valloc", (@convention(c) (Int) -> Pointer?).self),
      pvallocFunction: find("pvalloc", (@convention(c) (Int) -> Pointer?).self),
      usableSizeFunction: find("malloc_usable_size", (@convention(c) (Pointer?) -> Int).self),
      trimFunction: find("malloc_trim", (@convention(c) (Int) -> Int32).self), sized: sized, promisesMore: false)
  }

  /// The file that this process's malloc is in.
  static var fileOfMalloc: String { Object(of: dlsym(nil, "malloc")!).file }

  /// The shared object that an address lies in.
  private struct Object {
    let base: Pointer?
    let file: String

    // As dladdr(3) fills it in; Swift does not offer either.
    private struct Info {
      var file: UnsafePointer<CChar>?
      var base, symbol, address: Pointer?
    }

    init(of symbol: Pointer) {
      let find = unsafeBitCast(dlsym(nil, "dladdr")!, to: (@convention(c) (Pointer, Pointer) -> Int32).self)
      var info = Info()
      _ = find(symbol, &info)
      base = info.base
      file = info.file.map { String(cString: $0) } ?? ""
    }
  }
}
