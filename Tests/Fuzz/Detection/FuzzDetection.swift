// The libFuzzer entry point of protocol detection.
//
// Whatever the bytes and however they are split: the verdict is the same, it comes within a bound,
// and HTTP is only what begins as HTTP does.

/// One input, lent by libFuzzer for the call; what breaks an invariant traps, which libFuzzer reports.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    var whole = ProtocolDetector()
    let verdict = whole.take(bytes.span)
    var single = ProtocolDetector()
    var needed = 0
    for byte in bytes {
        if single.verdict == .undecided { needed += 1 }
        _ = single.take([byte].span)
    }
    precondition(single.verdict == verdict, "the verdict depends on the split")
    precondition(needed <= ProtocolDetector.methodBytesMax + 5, "no verdict within the bound")
    if verdict == .http1 {
        let method = bytes.prefix { $0 != 0x20 }
        precondition(!method.isEmpty && method.count <= ProtocolDetector.methodBytesMax)
        precondition(method.allSatisfy { (0x41...0x5A).contains($0) || $0 == 0x2D || $0 == 0x5F })
        precondition(Array(method) != Array("PRI".utf8), "PRI is no method")
    }
    if verdict == .http2 {
        precondition(bytes.starts(with: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8))
    }
    _ = ProtocolDetector.isHTTPServer(bytes.span)
    return 0
}
