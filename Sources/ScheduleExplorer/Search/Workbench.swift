/// Stacks and tables, kept from one exploration to the next: where they are short, making these takes longer than the rest.
///
/// For one exploration at a time; another one meanwhile makes its own.
public final class Workbench {
  private var engine: Engine?

  public init() {}

  func take(_ plan: Plan, _ chooser: any Chooser) -> Engine? {
    guard let engine else { return nil }
    self.engine = nil
    engine.prepare(plan, chooser)
    return engine
  }

  func putBack(_ engine: Engine) { self.engine = engine }
}
