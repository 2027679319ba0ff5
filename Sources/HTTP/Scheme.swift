/// The scheme of a target in absolute form.
public enum Scheme: UInt8, Sendable {
    case http, https
}
