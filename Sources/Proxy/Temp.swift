import HTTP2
extension HTTP2Connection { var isReadingHead: Bool { false } }
