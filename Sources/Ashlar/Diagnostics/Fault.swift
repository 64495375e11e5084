import CAshlar

/// What a caller was doing when a fault was found.
package enum Operation {
  case free, sizedFree, reallocate, usableSize, allocate, reuse, check, trim, exit, access

  var name: StaticString {
    switch self {
    case .free: "free"
    case .sizedFree: "sized free"
    case .reallocate: "reallocate"
    case .usableSize: "usable size"
    case .allocate: "allocate"
    case .reuse: "reuse"
    case .check: "check"
    case .trim: "trim"
    case .exit: "exit"
    case .access: "access"
    }
  }
}

/// What is wrong with an address that was handed to the allocator.
package struct Fault {
  package enum Kind {
    case doubleFree, invalidPointer, wrongSize, handedOutTwice
    // Damage: these name a place in or beside the block.
    case overflow, underflow, writeAfterFree, useAfterFree

    var name: StaticString {
      switch self {
      case .doubleFree: "double free"
      case .invalidPointer: "invalid pointer"
      case .wrongSize: "wrong size"
      case .handedOutTwice: "block freed twice at once"
      case .overflow: "overflow"
      case .underflow: "underflow"
      case .writeAfterFree: "write after free"
      case .useAfterFree: "use after free"
      }
    }
  }

  package var operation: Operation
  package var kind: Kind
  package var address: UInt
  package var state: StaticString
  package var level: Level?
  package var blockSize = 0
  package var sizeClass = -1
  /// For damage: bytes from the block's start to the first byte that was changed or accessed.
  package var offset: Int?
  package var allocated = Site.unknown
  package var freed = Site.unknown

  /// Hands the fault to the handler, or prints it and aborts. Whatever comes after this call must be nothing: if the
  /// handler returns, the call that was wrong has no effect.
  package func report() {
    var record = ashlar_fault(
      operation: Self.pointer(operation.name), kind: Self.pointer(kind.name), state: Self.pointer(state),
      level: Self.pointer(level?.name ?? "none"), address: UnsafeRawPointer(bitPattern: address),
      block_size: blockSize, size_class: Int32(truncatingIfNeeded: sizeClass),
      offset: offset ?? 0, allocated: allocated.record, freed: freed.record)
    if let handler = Self.handler {
      handler(&record)
    } else {
      print(record)
      ashlar_os_abort()
    }
  }

  private static func pointer(_ text: StaticString) -> UnsafePointer<CChar> {
    UnsafeRawPointer(text.utf8Start).assumingMemoryBound(to: CChar.self)
  }

  // MARK: Handler

  private static var handlerWord: SharedWord { SharedWord(ashlar_fault_handler_word()) }

  /// Called with each fault in place of the report and the abort. Nil for the default. Process-wide; may be changed
  /// at any time by any thread.
  package static var handler: ashlar_fault_handler? {
    get { unsafeBitCast(HardwareMemory.loadAcquiring(handlerWord), to: ashlar_fault_handler?.self) }
    set { HardwareMemory.storeReleasing(unsafeBitCast(newValue, to: UInt.self), to: handlerWord) }
  }

  // MARK: Report

  /// One line, for example
  /// `ashlar: double free: free of 0x7f0010, small block of 64 B (class 3), already free: in this thread's cache`.
  private func print(_ fault: ashlar_fault) {
    LineWriter.report { line in
      line.append("ashlar: ")
      line.append(cString: fault.kind.unsafelyUnwrapped)
      line.append(": ")
      line.append(cString: fault.operation.unsafelyUnwrapped)
      line.append(" of ")
      line.append(hexadecimal: UInt(bitPattern: fault.address))
      if fault.block_size > 0 {
        line.append(", ")
        if level != nil {
          line.append(cString: fault.level.unsafelyUnwrapped)
          line.append(" ")
        }
        line.append("block of ")
        line.append(size: fault.block_size)
        if fault.size_class >= 0 {
          line.append(" (class ")
          line.append(Int(fault.size_class))
          line.append(")")
        }
      }
      line.append(", ")
      line.append(cString: fault.state.unsafelyUnwrapped)
      if let offset {
        line.append(", at offset ")
        line.append(offset)
      }
      append(", allocated by ", allocated, to: &line)
      append(", freed by ", freed, to: &line)
    }
  }

  private func append(_ words: StaticString, _ site: Site, to line: inout LineWriter) {
    guard site.address != 0 else { return }
    line.append(words)
    site.append(to: &line)
  }
}
