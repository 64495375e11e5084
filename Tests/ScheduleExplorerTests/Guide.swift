import ScheduleExplorer

/// A box for one letter at a time, which one thread posts and another takes.
final class Mailbox {
  private let words = Variables("full", "letter")
  private let publish: Order

  init(publish: Order) { self.publish = publish }

  func post(_ letter: UInt) {
    while words[0].load(.acquiring) == 1 { Explored.pause() }
    words[1].write(letter)
    words[0].store(1, publish)
  }

  func take() -> UInt {
    while words[0].load(.acquiring) == 0 { Explored.pause() }
    let letter = words[1].read()
    words[0].store(0, .releasing)
    return letter
  }
}

func mailbox(publish: Order) -> Scenario<Mailbox> {
  var scenario = Scenario("mailbox") { Mailbox(publish: publish) }
  scenario.thread(Action("post 1") { $0.post(1) }, Action("post 2") { $0.post(2) })
  scenario.thread(
    Action("take 1") { try require($0.take() == 1, "the wrong letter") },
    Action("take 2") { try require($0.take() == 2, "the wrong letter") })
  return scenario
}

/// The orderings that can be taken away without harm, as far as the scenario shows.
func unneeded() -> [Weakening] {
  let survey = Survey()
  var plan = Plan(.exhaustive(preemptions: nil))
  print(Explorer.explore(mailbox(publish: .releasing), plan, survey: survey))
  return survey.orderings.filter { weakening in
    plan.weakening = weakening
    return Explorer.explore(mailbox(publish: .releasing), plan).counterexample == nil
  }
}
