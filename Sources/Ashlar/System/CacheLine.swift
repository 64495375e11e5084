/// A line of the processor's caches: what different threads write lies on different ones.
@usableFromInline
package enum CacheLine {
  @inlinable package static var bytes: Int { 64 }

  /// So many bytes, and what is left of their last line.
  package static func rounded(_ bytes: Int) -> Int { bytes.roundedUp(to: Self.bytes) }
}
