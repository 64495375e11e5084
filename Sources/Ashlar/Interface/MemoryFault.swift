import CAshlar

/// A misuse that the allocator found: what was done, to what, and the state that it was in.
public struct MemoryFault: Sendable, Equatable, CustomStringConvertible {
  /// "free", "sized free", "reallocate", "usable size", "allocate"; for damage to guarded blocks also what found it:
  /// "reuse", "check", "trim", "exit" or "access".
  public let operation: String
  /// "double free", "invalid pointer", "wrong size" or "block freed twice at once"; for damage to guarded blocks
  /// "overflow", "underflow", "write after free" or "use after free".
  public let kind: String
  /// The state of the block or address, for example "already free: in this thread's cache".
  public let state: String
  /// Nil where no block of the heap is concerned, but an object of a pool or bytes of an arena, or none at all.
  public let level: Level?
  /// The pointer that was passed; for damage the start of the block.
  public let address: UInt
  /// Usable bytes of the block, 0 where none is concerned.
  public let blockSize: Int
  /// Index of the size class or buddy order; nil where there is none.
  public let sizeClass: Int?
  /// For damage: bytes from the block's start to the first byte that was changed or accessed.
  public let offset: Int?
  /// Where a guarded block was allocated: `File.swift:12`, or a return address; nil where it is not known.
  public let allocated: String?
  /// Where it was freed.
  public let freed: String?

  init(_ fault: ashlar_fault) {
    operation = String(cString: fault.operation)
    kind = String(cString: fault.kind)
    state = String(cString: fault.state)
    let name = String(cString: fault.level)
    level = Level.allCases.first { "\($0)" == name }
    address = UInt(bitPattern: fault.address)
    blockSize = fault.block_size
    sizeClass = fault.size_class < 0 ? nil : Int(fault.size_class)
    let isDamage = ["overflow", "underflow", "write after free", "use after free"].contains(kind)
    offset = isDamage ? fault.offset : nil
    allocated = Self.describe(fault.allocated)
    freed = Self.describe(fault.freed)
  }

  private static func describe(_ site: ashlar_site) -> String? {
    guard let address = site.address else { return nil }
    guard site.file_length > 0 else { return "0x\(String(UInt(bitPattern: address), radix: 16))" }
    let name = UnsafeRawBufferPointer(start: address, count: site.file_length)
    return "\(String(decoding: name, as: UTF8.self)):\(site.line)"
  }

  /// Kind, operation, address and state in one line.
  public var description: String { "\(kind): \(operation) of 0x\(String(address, radix: 16)), \(state)" }
}

extension PoolAllocator {
  /// Calls `handler` with every fault from now on, in place of the report and the abort; nil brings those back.
  ///
  /// When the handler returns, the call that was wrong has had no effect. It runs on the thread that made that call,
  /// with no lock held, and may allocate. Process-wide; safe to set at any time.
  public static func setFaultHandler(_ handler: (@Sendable (MemoryFault) -> Void)?) {
    FaultHandlerBox.current.set(handler)
    Fault.handler = handler == nil ? nil : { fault in
      if let fault { FaultHandlerBox.current.call(MemoryFault(fault.pointee)) }
    }
  }
}

/// Keeps the Swift closure that the heap's C handler calls.
private final class FaultHandlerBox: @unchecked Sendable {
  static let current = FaultHandlerBox()
  private var handler: (@Sendable (MemoryFault) -> Void)?
  private let word = UnsafeMutablePointer<UInt>.allocate(capacity: 1)
  private let lock: Lock<HardwareMemory>

  private init() {
    word.initialize(to: 0)
    lock = Lock(SharedWord(word))
  }

  func set(_ handler: (@Sendable (MemoryFault) -> Void)?) { lock.withLock { self.handler = handler } }

  func call(_ fault: MemoryFault) {
    let handler = lock.withLock { self.handler }
    handler?(fault)
  }
}
