// The few elements of SVG a plot needs, as text.

struct SVGCanvas {
    private var elements: [String] = []

    mutating func text(_ content: String, x: Double, y: Double, class style: String) {
        elements.append(
            #"<text class="\#(style)" x="\#(number(x))" y="\#(number(y))">\#(escaped(content))</text>"#
        )
    }

    mutating func line(x1: Double, y1: Double, x2: Double, y2: Double, class style: String) {
        elements.append(
            #"<line class="\#(style)" x1="\#(number(x1))" y1="\#(number(y1))" "#
                + #"x2="\#(number(x2))" y2="\#(number(y2))"/>"#
        )
    }

    mutating func rectangle(
        x: Double,
        y: Double,
        width: Double,
        height: Double,
        class style: String
    ) {
        elements.append(
            #"<rect class="\#(style)" x="\#(number(x))" y="\#(number(y))" "#
                + #"width="\#(number(width))" height="\#(number(height))"/>"#
        )
    }

    mutating func polyline(_ points: [(x: Double, y: Double)], class style: String) {
        guard !points.isEmpty else { return }
        let text = points.map { "\(number($0.x)),\(number($0.y))" }.joined(separator: " ")
        elements.append(#"<polyline class="\#(style)" points="\#(text)"/>"#)
    }

    func document(width: Double, height: Double, title: String) -> String {
        let size = #"width="\#(number(width))" height="\#(number(height))""#
        let box = #"viewBox="0 0 \#(number(width)) \#(number(height))""#
        return """
            <svg xmlns="http://www.w3.org/2000/svg" \(size) \(box) role="img">
            <title>\(escaped(title))</title>
            <style>
            \(Self.style)
            </style>
            <rect class="paper" width="100%" height="100%"/>
            \(elements.joined(separator: "\n"))
            </svg>

            """
    }

    /// Blue and orange keep apart for the colour-blind, on white and on black.
    private static let style = """
        text { font: 12px sans-serif; fill: #333333; }
        .title { font-size: 18px; font-weight: bold; }
        .name { font-weight: bold; }
        .small { font-size: 11px; }
        .middle { text-anchor: middle; }
        .end { text-anchor: end; }
        .paper { fill: #ffffff; }
        .fault { fill: #888888; fill-opacity: 0.16; }
        .grid { stroke: #888888; stroke-opacity: 0.35; stroke-width: 1; }
        .axis { stroke: #333333; stroke-width: 1; }
        .series { fill: none; stroke-width: 2.2; stroke-linejoin: round; }
        .thin { fill: none; stroke-width: 1; stroke-linejoin: round; }
        .with { stroke: #0b62c4; }
        .without { stroke: #d35f00; stroke-dasharray: 6 3; }
        @media (prefers-color-scheme: dark) {
        text { fill: #dddddd; }
        .paper { fill: #14171a; }
        .axis { stroke: #dddddd; }
        .with { stroke: #5aa9ff; }
        .without { stroke: #ff9d4d; }
        }
        """

    private func number(_ value: Double) -> String {
        var text = fixed(value, digits: 1)
        if text.hasSuffix(".0") { text.removeLast(2) }
        return text
    }
}

/// Text between tags, and in attributes; characters that XML does not know are replaced.
func escaped(_ text: String) -> String {
    var result = ""
    for scalar in text.unicodeScalars {
        switch scalar {
        case "&": result += "&amp;"
        case "<": result += "&lt;"
        case ">": result += "&gt;"
        case "\"": result += "&quot;"
        case "'": result += "&#39;"
        case "\t", "\n": result += " "
        case "\u{0}"..."\u{1F}", "\u{7F}"..."\u{9F}", "\u{FFFE}", "\u{FFFF}":
            result.unicodeScalars.append("\u{FFFD}")
        default: result.unicodeScalars.append(scalar)
        }
    }
    return result
}
