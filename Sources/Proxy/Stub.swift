import HTTP
final class HTTP2Downstream: DownstreamDriver {}
final class HTTP2Upstream: UpstreamDriver {}
