// The libFuzzer entry point of the HTTP/2 codec; what it checks is
// Tests/HTTP2Tests/FuzzInput.swift.

/// One input, lent by libFuzzer for the call; what breaks an invariant traps, which libFuzzer reports.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    if let problem = FuzzInput(bytes).problem() { fatalError(problem) }
    return 0
}
