/// What the HTTP/2 connections of one worker share: the allocator of nghttp2 and scratch space.
///
/// Worker-confined; every connection keeps it alive.
public final class HTTP2Memory {
    /// Makes the memory of one worker.
    public init() {}
}
