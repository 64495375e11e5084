import CAshlar

/// What a caller was doing when a fault was found.
package enum Operation {
  case free, sizedFree, reallocate, usableSize, allocate

  var name: StaticString {
    switch self {
    case .free: "free"
    case .sizedFree: "sized free"
    case .reallocate: "reallocate"
    case .usableSize: "usable size"
    case .allocate: "allocate"
    }
  }
}

/// One of the four levels that a block can be of.
public enum Level: Int, Sendable, CaseIterable {
  case small, medium, large, huge

  package var name: StaticString {
    switch self {
    case .small: "small"
    case .medium: "medium"
    case .large: "large"
    case .huge: "huge"
    }
  }
}

/// What is wrong with an address that was handed to the allocator.
package struct Fault {
  package enum Kind {
    case doubleFree, invalidPointer, wrongSize, handedOutTwice, overwrite

    var name: StaticString {
      switch self {
      case .doubleFree: "double free"
      case .invalidPointer: "invalid pointer"
      case .wrongSize: "wrong size"
      case .handedOutTwice: "block freed twice at once"
      case .overwrite: "overwrite"
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

  /// Hands the fault to the handler, or prints it and aborts. Whatever comes after this call must be nothing: if the
  /// handler returns, the call that was wrong has no effect.
  package func report() {
    var record = ashlar_fault(
      operation: Self.pointer(operation.name), kind: Self.pointer(kind.name), state: Self.pointer(state),
      level: Self.pointer(level?.name ?? "none"), address: UnsafeRawPointer(bitPattern: address),
      block_size: blockSize, size_class: Int32(truncatingIfNeeded: sizeClass))
    if let handler = Self.handler {
      handler(&record)
    } else {
      Self.print(record)
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
  private static func print(_ fault: ashlar_fault) {
    LineWriter.report { line in
      line.append("ashlar: ")
      line.append(cString: fault.kind.unsafelyUnwrapped)
      line.append(": ")
      line.append(cString: fault.operation.unsafelyUnwrapped)
      line.append(" of ")
      line.append(hexadecimal: UInt(bitPattern: fault.address))
      if fault.block_size > 0 {
        line.append(", ")
        line.append(cString: fault.level.unsafelyUnwrapped)
        line.append(" block of ")
        line.append(size: fault.block_size)
        if fault.size_class >= 0 {
          line.append(" (class ")
          line.append(Int(fault.size_class))
          line.append(")")
        }
      }
      line.append(", ")
      line.append(cString: fault.state.unsafelyUnwrapped)
    }
  }
}
