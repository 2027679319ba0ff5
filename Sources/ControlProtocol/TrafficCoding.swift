// The messages about observed traffic as JSON.

import MeshModel

extension ClientMessage {
    static func decodeTraffic(_ node: MessageNode) -> ClientMessage? {
        guard let object = node.object(["counts"]) else { return nil }
        return object.required("counts") { field in
            field.array(count: 0...StreamLimits.countsMax, of: decodeCount)
        }.map(Self.traffic)
    }

    private static func decodeCount(_ cursor: ConfigCursor) -> TrafficCount? {
        guard
            let object = cursor.object(fields: [
                "name", "requests", "failures", "nanoseconds", "buckets",
            ])
        else { return nil }
        let name = object.required("name") { $0.string(.name) }
        let requests = object.required("requests", number)
        let failures = object.required("failures", number)
        let nanoseconds = object.required("nanoseconds", number)
        let buckets = object.required("buckets") { field in
            field.array(count: 0...TrafficCount.bucketCount, of: number)
        }
        let bucketCounts = [TrafficCount.coarseBucketCount, TrafficCount.bucketCount]
        if let buckets, !bucketCounts.contains(buckets.count) {
            object.cursor("buckets")?.report(
                "\(buckets.count) buckets",
                allowed:
                    "\(TrafficCount.bucketCount), or \(TrafficCount.coarseBucketCount) of a proxy "
                    + "of an earlier release"
            )
            return nil
        }
        guard let name, let requests, let failures, let nanoseconds, let buckets else { return nil }
        let count = TrafficCount(
            name: name,
            requests: requests,
            failures: failures,
            nanoseconds: nanoseconds,
            buckets: buckets
        )
        if count == nil { cursor.report("more failures than requests") }
        return count
    }

    private static func number(_ cursor: ConfigCursor) -> UInt64? {
        cursor.integer(in: 0...UInt64.max)
    }
}

extension ControllerMessage {
    static func decodeObserve(_ node: MessageNode) -> ControllerMessage? {
        guard let object = node.object(["watches"]) else { return nil }
        return object.required("watches") { field in
            field.array(count: 0...StreamLimits.watchesMax, of: decodeWatch)
        }.map(Self.observe)
    }

    private static func decodeWatch(_ cursor: ConfigCursor) -> TrafficWatch? {
        guard let object = cursor.object(fields: ["name", "service", "cluster", "routes"]) else {
            return nil
        }
        let name = object.required("name") { $0.string(.name) }
        let service = object.required("service") { $0.string(.name) }
        let cluster = object.required("cluster") { $0.string(.name) }
        let routes = object.required("routes") { field in
            field.array(count: 0...Limits.routesMax) { $0.string(.name) }
        }
        guard let name, let service, let cluster, let routes else { return nil }
        return TrafficWatch(name: name, service: service, cluster: cluster, routes: routes)
    }
}

extension JSONWriter {
    mutating func count(_ count: TrafficCount) {
        object { json in
            json.field("name", count.name)
            json.field("requests", count.requests)
            json.field("failures", count.failures)
            json.field("nanoseconds", count.nanoseconds)
            json.field("buckets") { $0.array(count.buckets) { json, count in json.number(count) } }
        }
    }

    mutating func watch(_ watch: TrafficWatch) {
        object { json in
            json.field("name", watch.name)
            json.field("service", watch.service)
            json.field("cluster", watch.cluster)
            json.field("routes") { $0.array(watch.routes) { json, route in json.string(route) } }
        }
    }
}
