import HTTP2
extension HTTP2Connection { var isReadingHead: Bool { false } }
extension HTTP2Stream { func stopReceiving() {} }
