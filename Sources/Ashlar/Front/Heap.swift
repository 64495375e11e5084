import CAshlar

/// The allocator: the four levels and everything that serves them, tied together.
///
/// A value of one pointer, to its parts, which live as long as the process. Every method may be called by any thread at
/// any time unless it says otherwise.
///
/// Order of locks: tracker, registry, guarded blocks, guard pages, the classes of slabs from the largest on, pool, metadata, direct table, the
/// buddy system's worker flag, and pending unmaps last. No lock is held while a fault is reported.
package struct Heap<Memory: SharedMemory> {
  // The parts are more than a kilobyte: passed on by value, they would be copied by every call.
  private let parts: UnsafePointer<HeapParts<Memory>>

  /// `memory` holds initialized parts.
  @inline(__always)
  package init(_ memory: UnsafeRawPointer) { parts = memory.assumingMemoryBound(to: HeapParts<Memory>.self) }

  /// Sets up a heap on memory of its own; nil, with nothing left behind, when the system has none.
  package init?(switches: Switches, marks: MemoryMarks = MemoryMarks()) {
    let bytes = MemoryLayout<HeapParts<Memory>>.size
    guard let memory = Memory.map(bytes) else { return nil }
    guard let parts = HeapParts<Memory>(switches: switches, marks: marks) else {
      Memory.unmap(memory, bytes)
      return nil
    }
    memory.initializeMemory(as: HeapParts<Memory>.self, to: parts)
    self.init(memory)
  }

  /// Where its parts are.
  package var address: UnsafeMutableRawPointer { UnsafeMutableRawPointer(mutating: parts) }

  package var switches: Switches { parts.pointee.switches }
  package var region: Region<Memory> { parts.pointee.region }
  package var metadata: MetadataMemory<Memory> { parts.pointee.metadata }
  package var buddy: Buddy<Memory> { parts.pointee.buddy }
  package var pool: SlabPool<Memory> { parts.pointee.pool }
  package var slabs: SlabClasses<Memory> { parts.pointee.slabs }
  package var depots: Depots<Memory> { parts.pointee.depots }
  var depotTimer: SweepTimer<Memory> { parts.pointee.depotTimer }
  package var registry: CacheRegistry<Memory> { parts.pointee.registry }
  package var direct: DirectMappings<Memory> { parts.pointee.direct }
  package var tracker: Tracker<Memory> { parts.pointee.tracker }
  package var policy: GuardPolicy<Memory> { parts.pointee.policy }
  package var guarded: GuardedBlocks<Memory> { parts.pointee.guarded }
  package var pages: GuardPages<Memory> { parts.pointee.pages }
  package var canary: Canary { parts.pointee.canary }
  var marks: MemoryMarks { parts.pointee.marks }
  var counters: HeapCounters<Memory> { parts.pointee.counters }
}
