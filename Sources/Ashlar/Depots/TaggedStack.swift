/// Where the nodes of a tagged stack keep their link to the next one.
///
/// A node is any non-zero word. Its link must stay readable for ever, also after the node was popped, because a
/// late reader may look at it; what it then reads is thrown away.
package protocol StackLinks {
  /// The word that holds the node below `node`, 0 for none.
  func link(of node: UInt) -> SharedWord
}

/// A lock-free stack (Treiber 1986) whose head carries a tag, so that a head that was popped and pushed back in
/// between is not mistaken for one that never moved (ABA).
///
/// The head is a pair swapped as one: the top node, and a word of a 40-bit tag, one step a change, and a 24-bit
/// depth. A swap that succeeds therefore proves that nothing has changed since the pair was read, so the link read
/// between the two was the right one. Push and pop are O(1) and lock-free; any number of threads may call them.
///
/// Publication: the swap of a push releases, and that of a pop hands on what it released; the read of the head acquires.
/// Whoever pops a node sees all that was written to it before it was pushed. A pop tells nobody of itself: who owns a
/// node hands it over by releasing, also to one that will push it again, or the read of the link might see that.
package struct TaggedStack<Memory: SharedMemory, Links: StackLinks> {
  private let head: SharedPair
  private let links: Links

  private static var depthBits: UInt { 24 }
  private static var depthMask: UInt { (1 << depthBits) - 1 }

  /// `head` is 16-byte aligned and zero: an empty stack.
  @inline(__always)
  package init(head: SharedPair, links: Links) {
    self.head = head
    self.links = links
  }

  /// Puts `node` on top. The caller owns it, and no longer after the call. Answers the depth reached.
  @discardableResult
  package func push(_ node: UInt) -> Int {
    var seen = Memory.loadPair(head, .relaxed)
    while true {
      Memory.store(seen.first, to: links.link(of: node))
      let depth = (seen.second & Self.depthMask) &+ 1
      guard let found = Memory.compareExchangePair(
        head, expected: seen, desired: (node, Self.advanced(seen.second, depth: depth)), .releasing)
      else { return Int(bitPattern: depth) }
      seen = found
    }
  }

  /// Takes the top node off, which the caller then owns; nil when the stack is empty.
  package func pop() -> UInt? {
    var seen = Memory.loadPair(head, .acquiring)
    while seen.first != 0 {
      let below = Memory.load(links.link(of: seen.first))
      let depth = (seen.second & Self.depthMask) &- 1
      guard let found = Memory.compareExchangePair(
        head, expected: seen, desired: (below, Self.advanced(seen.second, depth: depth)), .acquiring)
      else { return seen.first }
      seen = found
    }
    return nil
  }

  /// Nodes on the stack at some moment of the call.
  package var depth: Int { Int(bitPattern: Memory.loadPair(head, .relaxed).second & Self.depthMask) }

  package var isEmpty: Bool { Memory.loadPair(head, .relaxed).first == 0 }

  /// Calls `body` with the nodes, top first, until it answers false. What it is shown is only true while nobody
  /// pushes or pops; it ends in any case.
  package func visit(_ body: (UInt) -> Bool) {
    let seen = Memory.loadPair(head, .relaxed)
    var node = seen.first
    var left = seen.second & Self.depthMask
    while node != 0, left > 0, body(node) {
      node = Memory.load(links.link(of: node))
      left &-= 1
    }
  }

  private static func advanced(_ word: UInt, depth: UInt) -> UInt {
    ((word & ~depthMask) &+ (1 << depthBits)) | (depth & depthMask)
  }
}
