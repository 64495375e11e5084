/// Locks as one step, sleeping until woken, and giving way.
extension Engine {
  func lock(_ address: UInt, _ place: Place) {
    if isSettingUp { return }
    let index = table.find(address, 8)
    step(.lock, index, isWrite: true, place)
    checkInUse(index, 8, place)
    if table[index].pointee.holder != 0 { fail(Failure(.deadlock, "\(threadName(current)) takes a lock that is held")) }
    take(index)
    recorder?.note(current, "lock \(describe(address))", place)
  }

  func tryLock(_ address: UInt, _ place: Place) -> Bool {
    if isSettingUp { return true }
    let index = table.find(address, 8)
    step(.tryLock, index, isWrite: true, place)
    checkInUse(index, 8, place)
    let isFree = table[index].pointee.holder == 0
    if isFree { take(index) } else if !readSets[current].note(Int32(index), table[index].pointee.version) {
      threads[current].mayProceed = true
    }
    recorder?.note(current, "try lock \(describe(address)): \(isFree ? "taken" : "held")", place)
    return isFree
  }

  // Thread 0 holds as one that there can't be, since 0 is nobody.
  private var holderMark: UInt8 { UInt8(current == 0 ? Clock.threads : current) }

  private func take(_ index: Int) {
    table[index].pointee.holder = holderMark
    table[index].pointee.version &+= 1
    threads[current].clock.join(table[index].pointee.released)
  }

  func unlock(_ address: UInt, _ place: Place) {
    if isSettingUp { return }
    let index = table.find(address, 8)
    step(.unlock, index, isWrite: true, place)
    checkInUse(index, 8, place)
    guard table[index].pointee.holder == holderMark else {
      return fail(Failure(.misuse, "\(threadName(current)) releases the lock \(describe(address)), which it does not hold (\(place.sourceLine))"))
    }
    table[index].pointee.holder = 0
    table[index].pointee.version &+= 1
    table[index].pointee.released = threads[current].clock
    threads[current].clock[current] &+= 1
    recorder?.note(current, "unlock \(describe(address))", place)
  }

  /// Sleeps if the latest value is `value`, until woken; the two are one step.
  func wait(_ address: UInt, _ value: UInt, _ place: Place) {
    if isAlone { return }
    let index = table.find(address, 8)
    step(.wait, index, isWrite: true, place)
    checkInUse(index, 8, place)
    let last = table[index].pointee.last
    let found = last < 0 ? UnsafeRawPointer(bitPattern: address).unsafelyUnwrapped.load(as: UInt.self) : stores.base[Int(last)].value
    recorder?.note(current, found == value ? "sleep on \(describe(address))" : "no sleep: \(describe(address)) has changed", place)
    guard found == value else { return }
    sleep()
  }

  /// Wakes one of the threads that sleep on the word.
  func wake(_ address: UInt, _ place: Place) {
    if isAlone { return }
    let index = table.find(address, 8)
    step(.wake, index, isWrite: true, place)
    checkInUse(index, 8, place)
    var count = 0
    for thread in 1...max(threadCount, 1) where threads[thread].status == .asleep && threads[thread].pending.cell == index {
      candidates[count] = Int32(thread)
      count += 1
    }
    recorder?.note(current, "wake \(describe(address)): \(count) asleep", place)
    guard count > 0 else { return }
    let woken = Int(candidates[count > 1 ? chooser.chooseValue(count) : 0])
    threads[woken].status = .runnable
    threads[woken].pending = .none
  }

  /// Lets others go first, until something changes that the running thread has looked at since it last gave way.
  func pause(_ place: Place) {
    if isAlone { return }
    step(.pause, -1, isWrite: false, place)
    readSets[current].removeAll()
    threads[current].mayProceed = false
    recorder?.note(current, "goes on after a pause", place)
  }
}
