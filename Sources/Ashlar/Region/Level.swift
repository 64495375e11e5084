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
