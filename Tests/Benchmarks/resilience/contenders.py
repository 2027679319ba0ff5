"""Proxies before three endpoints, each with the same policy in its own words."""

import contextlib
import http.client
import json
import os

from bench.machine import Ports
from bench.proxies.envoy import Envoy as EnvoyProgram
from bench.proxies.mesh_proxy import MeshProxy as OurProgram
from bench.proxies.mesh_proxy import binary
from localmesh.processes import Child
from localmesh.waiting import eventually

#: Retries beyond the first attempt, what they are for, and how long each try may take.
RETRIES, RETRY_STATUS, PER_TRY_MILLISECONDS = 2, 503, 250
_API = "type.googleapis.com/envoy"


class Contender:
    """A running proxy: `port` to call, `is_out(endpoint)` to ask; on a machine, if one is given."""

    name = ""

    def __init__(self, endpoints, directory, machine=None):
        self._machine = machine
        self.port, self._admin_port = Ports.take(), Ports.take()
        path = os.path.join(directory, f"{self.name}-{self.port}.json")
        with open(path, "w") as file:
            json.dump(self._configuration(endpoints), file, indent=1)
        self._process = Child(
            self.name, [*(machine.wrapper() if machine else ()), *self._command(path)],
            path.replace(".json", ".log"))
        eventually(lambda: self._ask("/ready")[0] == 200, f"{self.name} is ready", 30)

    @classmethod
    def version(cls):
        """Raises `Absent` where it cannot run."""
        raise NotImplementedError

    def is_out(self, endpoint):
        """Whether it has set the endpoint aside."""
        raise NotImplementedError

    def stop(self):
        self._process.stop()

    def _configuration(self, endpoints):
        raise NotImplementedError

    def _command(self, file):
        raise NotImplementedError

    def _ask(self, path):
        """(status, body) of its admin port."""
        with self._machine.entered() if self._machine else contextlib.nullcontext():
            connection = http.client.HTTPConnection("127.0.0.1", self._admin_port, timeout=5)
            with contextlib.closing(connection):
                connection.request("GET", path)
                response = connection.getresponse()
                return response.status, response.read()

    def _json(self, path):
        return json.loads(self._ask(path)[1])


class Ours(Contender):
    """Defaults, and the retries that a manifest has to ask for."""

    name = "mesh-proxy"

    @classmethod
    def version(cls):
        return OurProgram().version()

    def is_out(self, endpoint):
        events = self._process.logged(
            "endpoint ", endpoint=f"{endpoint.address}:{endpoint.port}")
        return bool(events) and events[-1]["message"] == "endpoint ejected"

    def _command(self, file):
        return [binary(), "run", "--config", file]

    def _configuration(self, endpoints):
        retry = {"attempts": RETRIES, "statuses": [RETRY_STATUS],
                 "conditions": ["reset", "perTryTimeout"],
                 "perTryTimeout": f"{PER_TRY_MILLISECONDS}ms"}
        return {
            "workers": 1, "accessLog": "off", "drain": {"gracePeriod": "1s", "propagation": "0s"},
            "admin": {"address": "127.0.0.1", "port": self._admin_port},
            "outbound": {"address": "127.0.0.1", "port": self.port},
            "mesh": {
                "trustDomain": "mesh.internal",
                "workload": "spiffe://mesh.internal/ns/default/sa/web",
                "inbound": {"name": "web.default"},
                "services": [{"name": "orders.default", "hosts": ["orders"], "port": 80, "routes": [
                    {"name": "orders", "backends": [{"cluster": "orders"}], "retry": retry}]}],
                "clusters": [{"name": "orders", "security": "plaintext", "endpoints": [
                    {"address": {"address": e.address, "port": e.port}} for e in endpoints]}],
            }}


class Envoy(Contender):
    """Least request of two; outlier detection, retries and their budget with our numbers."""

    name = "envoy"

    @classmethod
    def version(cls):
        return EnvoyProgram().version()

    def is_out(self, endpoint):
        for cluster in self._json("/clusters?format=json")["cluster_statuses"]:
            for host in cluster.get("host_statuses", ()):
                address = host["address"]["socket_address"]
                if (address["address"], address["port_value"]) == (endpoint.address, endpoint.port):
                    return host["health_status"].get("failed_outlier_check", False)
        return False

    def _command(self, file):
        return [EnvoyProgram().program(), "-c", file, "--concurrency", "1",
                "--disable-hot-restart", "-l", "error"]

    def _configuration(self, endpoints):
        manager = {
            "@type": f"{_API}.extensions.filters.network.http_connection_manager.v3"
                     ".HttpConnectionManager",
            "stat_prefix": "callers", "generate_request_id": False,
            "route_config": {"virtual_hosts": [{
                "name": "all", "domains": ["*"], "routes": [{
                    "match": {"prefix": "/"},
                    "route": {"cluster": "orders", "timeout": "0s",
                              "retry_policy": self._retries()}}]}]},
            "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {
                "@type": f"{_API}.extensions.filters.http.router.v3.Router"}}],
        }
        return {
            "admin": {"address": _address("127.0.0.1", self._admin_port)},
            "static_resources": {
                "listeners": [{
                    "name": "callers", "address": _address("127.0.0.1", self.port),
                    "filter_chains": [{"filters": [{
                        "name": "envoy.filters.network.http_connection_manager",
                        "typed_config": manager}]}]}],
                "clusters": [self._cluster(endpoints)]}}

    @staticmethod
    def _retries():
        return {
            "retry_on": "connect-failure,refused-stream,reset,retriable-status-codes",
            "retriable_status_codes": [RETRY_STATUS], "num_retries": RETRIES,
            "per_try_timeout": f"{PER_TRY_MILLISECONDS / 1000}s",
            "retry_back_off": {"base_interval": "0.025s", "max_interval": "0.25s"},
            "host_selection_retry_max_attempts": 5,
            "retry_host_predicate": [{
                "name": "envoy.retry_host_predicates.previous_hosts", "typed_config": {
                    "@type": f"{_API}.extensions.retry.host.previous_hosts.v3"
                             ".PreviousHostsPredicate"}}],
        }

    @staticmethod
    def _cluster(endpoints):
        return {
            "name": "orders", "type": "STATIC", "connect_timeout": "1s",
            "lb_policy": "LEAST_REQUEST",
            "load_assignment": {"cluster_name": "orders", "endpoints": [{"lb_endpoints": [
                {"endpoint": {"address": _address(e.address, e.port)}} for e in endpoints]}]},
            "circuit_breakers": {"thresholds": [{"retry_budget": {
                "budget_percent": {"value": 20}, "min_retry_concurrency": 3}}]},
            "outlier_detection": {
                "consecutive_5xx": 5, "interval": "1s", "base_ejection_time": "3s",
                "max_ejection_time": "8s", "max_ejection_percent": 50,
                "enforcing_consecutive_5xx": 100, "enforcing_success_rate": 100,
                "failure_percentage_threshold": 20, "enforcing_failure_percentage": 100,
                "failure_percentage_minimum_hosts": 2, "failure_percentage_request_volume": 10,
            },
        }


def _address(address, port):
    return {"socket_address": {"address": address, "port_value": port}}
