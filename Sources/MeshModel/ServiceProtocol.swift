/// What is spoken on a port.
///
/// A declared protocol always wins over what a connection's first bytes look like: declaring it costs
/// nothing at run time, and detection cannot know a protocol in which the server speaks first.
public enum ServiceProtocol: String, Sendable, CaseIterable {
    /// Told by a connection's first bytes: HTTP of either version, else opaque TCP.
    case auto
    /// HTTP/1.1; what upgrades from it, WebSocket, included.
    case http1
    /// HTTP/2, gRPC included.
    case http2
    /// Any bytes, carried as they are; the server may speak first.
    case tcp
}

/// What becomes of an intercepted connection to a destination the mesh does not know.
///
/// Only interception knows the original destination; a call made to the outbound listener itself is
/// refused whatever this says.
public enum UnknownDestinations: String, Sendable, CaseIterable {
    /// Carried there as it is, without a policy of the mesh.
    case pass
    /// Closed at once.
    case refuse
}
