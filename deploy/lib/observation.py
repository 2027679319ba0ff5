"""Looks at every sidecar and the controller twice a second and keeps what it saw."""

import datetime
import json
import threading
import time

from localmesh.metrics import quantile
from localmesh.processes import CommandFailed, port_of

INTERVAL = 0.5
#: Rates and latencies are over the last so many looks.
WINDOW = 10


class SidecarRow:
    """One look at a sidecar."""

    def __init__(self, proxy):
        self.at = time.monotonic()
        self.metrics = proxy.admin.metrics()
        self.memory = proxy.resident_bytes()
        self.version = self.metrics.sum("mesh_snapshot_version")
        certificates = proxy.admin.json("/certs")
        self.rotations = certificates["rotations"]
        self.certificate = leaf_times(certificates)

    def requests(self, direction):
        return self.metrics.sum("http_requests_total", direction=direction)

    def successes(self, direction):
        return sum(value for labels, value in
                   self.metrics.matching("http_requests_total", direction=direction)
                   if not labels["status"].startswith("5"))


def leaf_times(certificates):
    """(not before, not after) of the leaf among those that /certs shows, as UTC datetimes."""
    [leaf] = [one for one in certificates["certificates"] if one["use"] == "leaf"]
    return parse_time(leaf["notBefore"]), parse_time(leaf["notAfter"])


def parse_time(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


class Traffic:
    """What one sidecar did in one direction, over the window."""

    def __init__(self, rows, direction):
        last, first = rows[-1], rows[0]
        self.requests = last.requests(direction)
        seconds = max(INTERVAL, last.at - first.at)
        self.rate = (self.requests - first.requests(direction)) / seconds
        self.success = last.successes(direction) / self.requests if self.requests else None
        name = "http_request_duration_seconds"
        now = last.metrics.buckets(name, direction=direction)
        before = first.metrics.buckets(name, direction=direction) if first is not last else {}
        self.p50, self.p99 = quantile(0.5, now, before), quantile(0.99, now, before)


class Observer:
    def __init__(self, mesh):
        self._mesh = mesh
        self._rows = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        #: {workload: acknowledged version}, None while the controller does not answer.
        self.acknowledged = None
        #: The weights in force at `orders`: {service: weight}.
        self.weights = None
        #: The endpoints that `orders` may call: [(instance, service, what /clusters says)].
        self.endpoints = []
        #: What `meshctl canary status --json` says of the only canary; None: there is none.
        self.canary = None
        #: Whether canaries are asked about.
        self.watches_canary = False

    def start(self):
        self._look()
        self._thread.start()

    def stop(self):
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(10)

    def _run(self):
        while not self._stopping.wait(INTERVAL):
            self._look()

    def _look(self):
        # A copy: the story adds some meanwhile.
        for name, proxy in list(self._mesh.proxies.items()):
            try:
                row = SidecarRow(proxy)
            except (OSError, LookupError, ValueError):
                continue  # stopping, or not up yet: the view keeps the last look and its age
            self._rows[name] = (self._rows.get(name, []) + [row])[-WINDOW:]
        try:
            admin = self._mesh.proxies["orders"].admin
            self.weights = weights_in_force(admin.json("/config"))
            self.endpoints = named_endpoints(admin.json("/clusters"), dict(self._mesh.proxies))
        except (OSError, LookupError, ValueError):
            pass  # not up: what was last in force stays shown
        try:
            self.acknowledged = acknowledged_versions(self._mesh.status())
            if self.watches_canary:
                self.look_at_canary()
        except (CommandFailed, OSError, LookupError, ValueError):
            self.acknowledged = None

    def look_at_canary(self):
        """Asks now."""
        canaries = json.loads(self._mesh.meshctl("canary", "status", "--json")[1])
        self.canary = canaries[0] if canaries else None

    def endpoint(self, instance):
        """What the worker of `orders` knows of this instance's endpoint."""
        [endpoint] = [said for name, _, said in self.endpoints if name == instance]
        return endpoint["workers"][0]

    @property
    def latest(self):
        """{workload: SidecarRow}"""
        return {name: rows[-1] for name, rows in self._rows.items()}

    def rotations(self):
        """{workload: rotations so far}"""
        return {name: row.rotations for name, row in self.latest.items()}

    def traffic(self, name, direction):
        rows = self._rows.get(name)
        return Traffic(rows, direction) if rows else None


def acknowledged_versions(status):
    """{workload name: version} of what `meshctl status --json` says."""
    versions = {}
    for row in status["proxies"]:
        versions.setdefault(row["workload"].rsplit("/", 1)[1], []).append(
            row.get("acknowledgedVersion") or 0)
    return {workload: min(known) for workload, known in versions.items()}


def weights_in_force(configuration):
    """{service: weight} of the only route in what /config says."""
    [service] = configuration["mesh"]["services"]
    return {name_of(backend["cluster"]): backend["weight"]
            for backend in service["routes"][0]["backends"]}


def named_endpoints(clusters, proxies):
    """[(instance, service, endpoint)] of what /clusters says, of the endpoints of these proxies."""
    ports = {proxy.port("inbound"): name for name, proxy in proxies.items()}
    return sorted(
        ((ports[port_of(endpoint["address"])], name_of(cluster["name"]), endpoint)
         for cluster in clusters for endpoint in cluster["endpoints"]
         if port_of(endpoint["address"]) in ports), key=lambda known: known[0])


def name_of(cluster):
    """`inventory-v1` of `inventory-v1.default`."""
    return cluster.rsplit(".", 1)[0]
