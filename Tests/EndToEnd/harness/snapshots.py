"""The `mesh` object of a static proxy configuration."""


def address(port):
    return {"address": "127.0.0.1", "port": port}


def cluster(name, *ports, identities=None, **more):
    """Endpoints on loopback ports; mTLS when the servers' identities are given."""
    security = {"mutual": identities} if identities else "plaintext"
    return {"name": name, "security": security,
            "endpoints": [{"address": address(port)} for port in ports], **more}


def route(name, weights, match=None, timeouts=None, **more):
    """A route to {cluster: weight}, or to one cluster by name; `more` are its policies."""
    if isinstance(weights, str):
        weights = {weights: 1}
    value = {"name": name, "backends": [
        {"cluster": cluster, "weight": weight} for cluster, weight in weights.items()]}
    if match:
        value["match"] = match
    if timeouts:
        value["timeouts"] = timeouts
    return {**value, **more}


def service(name, routes, port=80):
    return {"name": f"{name}.default", "port": port, "routes": routes,
            "hosts": [name, f"{name}.default", f"{name}.default.svc",
                      f"{name}.default.svc.cluster.local"]}


def mesh(workload, services=(), clusters=(), inbound=None, trust_domain="mesh.internal", **more):
    return {"trustDomain": trust_domain,
            "workload": f"spiffe://{trust_domain}/ns/default/sa/{workload}",
            "inbound": {"name": f"{workload}.default", **(inbound or {})},
            "services": list(services), "clusters": list(clusters), **more}
