"""Manifests as the controller reads them: builders, a YAML writer, and an atomic save."""

import os
import re

API = "mesh.internal/v1"
GATEWAY_API = "gateway.networking.k8s.io/v1"
_PLAIN = re.compile(r"^[A-Za-z/][A-Za-z0-9_./-]*$")
_WORDS_OF_YAML = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}


def _manifest(api, kind, name, spec, namespace):
    metadata = {"name": name}
    if namespace:
        metadata["namespace"] = namespace
    return {"apiVersion": api, "kind": kind, "metadata": metadata, "spec": spec}


def mesh(leaf_lifetime=None, trust_domain=None, defaults=None):
    spec = {}
    if trust_domain:
        spec["trustDomain"] = trust_domain
    if leaf_lifetime:
        spec["certificates"] = {"leafLifetime": leaf_lifetime}
    if defaults:
        spec["defaults"] = defaults
    return _manifest(API, "Mesh", "mesh", spec, None)


def service(name, workload, ports=(), namespace="default", **more):
    """A service whose endpoints are these ports of the loopback address; without a workload it is
    only a name for routes to be attached to."""
    spec = {"workload": workload} if workload else {}
    spec["endpoints"] = [{"address": "127.0.0.1", "port": port} for port in ports]
    spec.update(more)
    return _manifest(API, "Service", name, spec, namespace)


def workload(name, implements=None, uses=(), namespace="default"):
    spec = {}
    if implements:
        spec["service"] = implements
    if uses:
        spec["uses"] = [{"service": service} for service in uses]
    return _manifest(API, "Workload", name, spec, namespace)


def backend(name, weight):
    return {"group": "mesh.internal", "kind": "Service", "name": name, "port": 80,
            "weight": weight}


def route(name, parent, rules, namespace="default"):
    parents = [{"group": "mesh.internal", "kind": "Service", "name": parent}]
    return _manifest(
        GATEWAY_API, "HTTPRoute", name, {"parentRefs": parents, "rules": rules}, namespace)


def split(name, parent, weights, namespace="default", **rule):
    """A route that divides everything for `parent` over {service: weight}."""
    backends = [backend(service, weight) for service, weight in weights.items()]
    return route(name, parent, [{"backendRefs": backends, **rule}], namespace)


def canary(name, target, version, namespace="default", **more):
    """A canary of service `target` whose new version is service `version`."""
    spec = {"targetRef": {"kind": "Service", "name": target}, "canary": {"name": version}, **more}
    return _manifest(API, "Canary", name, spec, namespace)


def to_yaml(documents):
    """A multi-document YAML text."""
    return "---\n".join("\n".join(_lines(document, 0)) + "\n" for document in documents)


def _lines(value, depth):
    indent = "  " * depth
    if isinstance(value, dict):
        for key, inner in value.items():
            if inner in ({}, []) or not isinstance(inner, (dict, list)):
                yield f"{indent}{key}: {_scalar(inner)}"
            else:
                yield f"{indent}{key}:"
                yield from _lines(inner, depth + 1)
    else:
        for inner in value:
            first, *rest = _lines(inner, depth + 1) if isinstance(inner, (dict, list)) \
                else [indent + "  " + _scalar(inner)]
            yield f"{indent}- {first[len(indent) + 2:]}"
            yield from rest


def _scalar(value):
    if value == {}:
        return "{}"
    if value == []:
        return "[]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    text = str(value)
    if _PLAIN.match(text) and text.lower() not in _WORDS_OF_YAML:
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def save(path, documents):
    """Replaces the file as one step, so that a watcher never sees half of it."""
    text = documents if isinstance(documents, str) else to_yaml(documents)
    temporary = os.path.join(os.path.dirname(path), "." + os.path.basename(path) + ".new")
    with open(temporary, "w") as file:
        file.write(text)
    os.rename(temporary, path)
