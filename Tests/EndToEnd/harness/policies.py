"""Policies as manifests, and a mesh whose services have no sidecars, so that a test sees what one
calling proxy does."""

from localmesh import manifests

GATEWAY = manifests.GATEWAY_API


def traffic_policy(name, service, **spec):
    """A `TrafficPolicy` attached to a service."""
    return _attached("TrafficPolicy", name, "mesh.internal", "Service", service, spec)


def fault_policy(name, service, faults):
    """A `FaultPolicy` attached to a service."""
    return _attached("FaultPolicy", name, "mesh.internal", "Service", service, {"faults": faults})


def _attached(kind, name, group, target_kind, target, spec):
    return {"apiVersion": manifests.API, "kind": kind, "metadata": {"name": name},
            "spec": {"targetRefs": [{"group": group, "kind": target_kind, "name": target}], **spec}}


def plain_service(name, ports, weights=()):
    """A service in plain text, with these ports of the loopback as endpoints."""
    document = manifests.service(name, None, ports, security="plaintext")
    for endpoint, weight in zip(document["spec"]["endpoints"], weights):
        endpoint["weight"] = weight
    return document


class PlainMesh:
    """For test cases: `web` calls one service without sidecars, whose manifests are one file."""

    def plain_mesh(self, *documents, service="orders", **options):
        mesh = self.mesh(**options)
        mesh.add("web", self.app().port, uses=[service])
        mesh.routes = list(documents)
        mesh.start()
        return mesh

    @staticmethod
    def replace(mesh, *documents):
        """Applies other manifests in their place, and waits until every proxy has them."""
        mesh.apply("routes.yaml", list(documents))
