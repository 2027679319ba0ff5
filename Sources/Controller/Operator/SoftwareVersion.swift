/// The version of the control plane.
public enum SoftwareVersion {
    /// Semantic version.
    public static let current = "0.1.0"
}
