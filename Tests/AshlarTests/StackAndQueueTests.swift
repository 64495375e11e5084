import AshlarSuite
import Testing

@testable import Ashlar

@Suite struct StackAndQueueTests {
  private struct ArrayLinks: StackLinks {
    let memory: UnsafeMutableRawPointer
    func link(of node: UInt) -> SharedWord { SharedWord(memory + Int(node) * 8) }
  }

  private func stack(_ memory: ZeroedMemory) -> TaggedStack<HardwareMemory, ArrayLinks> {
    TaggedStack(head: SharedPair(memory.start), links: ArrayLinks(memory: memory.start + 64))
  }

  @Test func `the last node pushed is popped first, and the depth is exact`() {
    let memory = ZeroedMemory(bytes: 1024)
    let stack = stack(memory)
    #expect(stack.isEmpty && stack.pop() == nil)
    for node: UInt in 1...100 { #expect(stack.push(node) == Int(node)) }
    var seen: [UInt] = []
    stack.visit { seen.append($0); return true }
    #expect(seen == (1...100).reversed() && stack.depth == 100)
    for node: UInt in (1...100).reversed() { #expect(stack.pop() == node) }
    #expect(stack.isEmpty && stack.depth == 0)
  }

  @Test func `every change of the head changes its tag`() {
    let memory = ZeroedMemory(bytes: 1024)
    let stack = stack(memory)
    var tags: Set<UInt> = []
    for _ in 0..<1000 {
      stack.push(1)
      #expect(tags.insert(HardwareMemory.loadPair(SharedPair(memory.start), .relaxed).second).inserted)
      _ = stack.pop()
      #expect(tags.insert(HardwareMemory.loadPair(SharedPair(memory.start), .relaxed).second).inserted)
    }
  }

  @Test func `four threads neither lose a node nor get one twice`() {
    let nodes = 64
    let memory = ZeroedMemory(bytes: 2048)
    let stack = UncheckedBox(stack(memory))
    for node in 1...nodes { stack.value.push(UInt(node)) }
    let held = UncheckedBox(ZeroedMemory(bytes: 2048))
    Threads.run(4) { _ in
      let words = held.value.start.assumingMemoryBound(to: UInt.self)
      for _ in 0..<20_000 {
        guard let node = stack.value.pop() else { continue }
        let before = HardwareMemory.exchange(1, in: SharedWord(words + Int(node)))
        precondition(before == 0, "node \(node) has two owners")
        HardwareMemory.storeReleasing(0, to: SharedWord(words + Int(node)))
        stack.value.push(node)
      }
    }
    var seen: Set<UInt> = []
    while let node = stack.value.pop() { #expect(seen.insert(node).inserted) }
    #expect(seen.count == nodes)
  }

  @Test func `a queue keeps its order, refuses when full, and goes round`() {
    let memory = ZeroedMemory(bytes: MergeQueue<HardwareMemory>.bytes(capacity: 8))
    let queue = MergeQueue<HardwareMemory>(words: memory.start, capacity: 8)
    #expect(queue.pop() == nil && queue.depth == 0)
    for round: UInt in 0..<10 {
      for entry in 0..<8 { #expect(queue.push(round * 8 + UInt(entry))) }
      #expect(!queue.push(999) && queue.depth == 8)
      for entry in 0..<8 { #expect(queue.pop() == round * 8 + UInt(entry)) }
      #expect(queue.pop() == nil)
    }
  }

  @Test func `a cell that a fork left half filled does not stop the queue`() {
    let memory = ZeroedMemory(bytes: MergeQueue<HardwareMemory>.bytes(capacity: 8))
    let queue = MergeQueue<HardwareMemory>(words: memory.start, capacity: 8)
    #expect(queue.push(7))
    // A pusher that has claimed its cell, which is the queue's first word, and got no further.
    HardwareMemory.add(1, to: SharedWord(memory.start))
    #expect(queue.push(9) && queue.pop() == 7 && queue.pop() == nil)
    queue.fillAbandonedCells()
    #expect(queue.pop() == 0 && queue.pop() == 9 && queue.pop() == nil && queue.push(11) && queue.pop() == 11)
  }

  @Test func `four threads get every entry of a queue once`() {
    let memory = ZeroedMemory(bytes: MergeQueue<HardwareMemory>.bytes(capacity: 64))
    let queue = UncheckedBox(MergeQueue<HardwareMemory>(words: memory.start, capacity: 64))
    let seen = UncheckedBox(ZeroedMemory(bytes: 4 * 10_000 * 8))
    Threads.run(4) { thread in
      let words = seen.value.start.assumingMemoryBound(to: UInt.self)
      for entry in 0..<10_000 {
        while !queue.value.push(UInt(thread * 10_000 + entry)) { take(queue.value, words) }
        if entry % 2 == 0 { take(queue.value, words) }
      }
      while take(queue.value, words) {}
    }
    let words = seen.value.start.assumingMemoryBound(to: UInt.self)
    #expect((0..<40_000).allSatisfy { words[$0] == 1 })
  }
}

@discardableResult
private func take(_ queue: MergeQueue<HardwareMemory>, _ words: UnsafeMutablePointer<UInt>) -> Bool {
  guard let entry = queue.pop() else { return false }
  HardwareMemory.add(1, to: SharedWord(words + Int(entry)))
  return true
}
