import Bytes
import HTTP
import MeshModel
import Testing

@testable import Traffic

struct HeaderModifierTests {
    private func modified(
        _ fields: [(String, String)],
        _ modifier: HeaderModifier
    ) -> [String] {
        let block = request("/", fields: fields).fields
        CompiledHeaderModifier(modifier).apply(to: block)
        return block.lines
    }

    @Test("removes, then sets, then adds, comparing names without case")
    func order() {
        let modifier = HeaderModifier(
            set: [.init(name: "X-Env", value: "test"), .init(name: "Accept", value: "a/b")],
            add: [.init(name: "x-trace", value: "2"), .init(name: "X-Gone", value: "back")],
            remove: ["x-gone", "user-agent"]
        )
        #expect(
            modified(
                [
                    ("x-env", "prod"), ("X-ENV", "dev"), ("X-Gone", "1"), ("x-gone", "2"),
                    ("User-Agent", "u"), ("X-Trace", "1"), ("Keep", "k"),
                ],
                modifier
            ) == [
                "X-Trace: 1", "Keep: k", "X-Env: test", "Accept: a/b", "x-trace: 2", "X-Gone: back",
            ]
        )
    }

    @Test("what is not there is set and added all the same; removing it is nothing")
    func empty() {
        let modifier = HeaderModifier(
            set: [.init(name: "a", value: "")],
            add: [.init(name: "Set-Cookie", value: "x=1")],
            remove: ["b", "cookie"]
        )
        #expect(modified([], modifier) == ["a: ", "Set-Cookie: x=1"])
        #expect(modified([("k", "v")], HeaderModifier()) == ["k: v"])
    }

    @Test("of several entries for one field the first counts")
    func duplicates() {
        let modifier = HeaderModifier(
            set: [.init(name: "A", value: "1"), .init(name: "a", value: "2")],
            add: [.init(name: "b", value: "1"), .init(name: "B", value: "2")],
            remove: ["c", "c"]
        )
        #expect(modified([("c", "")], modifier) == ["A: 1", "b: 1"])
    }

    @Test("a field that was set is known by its name")
    func known() {
        let block = request("/", fields: [("Cookie", "a=b")]).fields
        let modifier = HeaderModifier(
            set: [.init(name: "authorization", value: "Bearer x")],
            remove: ["cookie"]
        )
        CompiledHeaderModifier(modifier).apply(to: block)
        #expect(block.contains(.authorization))
        #expect(!block.contains(.cookie))
    }
}
