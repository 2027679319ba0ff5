"""A controller, its CA, and one proxy per workload, all on loopback."""

import json
import os
import time

from . import manifests
from .processes import Controller, Proxy, run, stop_all
from .waiting import eventually


class _Workload:
    def __init__(self, application_port, implements, uses, plaintext, replica_of=None):
        self.application_port = application_port
        self.implements, self.uses, self.plaintext = implements, uses, plaintext
        self.replica_of = replica_of
        self.data_directory = None


class LocalMesh:
    """Add workloads and routes, `start`, then look at `controller` and `proxies`.

    Manifests are three files, so that each can be applied alone: mesh.yaml, services.yaml (services
    and workloads) and routes.yaml.
    """

    def __init__(self, binaries, directory, leaf_lifetime="1h", trust_domain=None,
                 access_log="errors", drain=None, workers=1):
        self.binaries, self.directory = binaries, directory
        self.leaf_lifetime, self.trust_domain = leaf_lifetime, trust_domain
        self.access_log, self.workers = access_log, workers
        self.drain = drain or {"gracePeriod": "10s", "propagation": "200ms"}
        self.manifests = self._make("manifests")
        self.staging = self._make("staging")
        self.data = os.path.join(directory, "controller")
        self.workloads, self.proxies, self.controller = {}, {}, None
        self.routes = []
        #: Every process ever started here, for the logs of a failed test.
        self.history = []

    def _make(self, name):
        path = os.path.join(self.directory, name)
        os.mkdir(path, 0o700)
        return path

    def add(self, name, application_port, implements=None, uses=(), plaintext=False):
        """A workload whose application listens on this port; it implements `implements` (its own
        name by default) and may call the services `uses`."""
        self.workloads[name] = _Workload(
            application_port, implements or name, uses, plaintext)

    def add_replica(self, name, of, application_port):
        """Another instance of workload `of`, with an application and a proxy of its own."""
        first = self.workloads[of]
        self.workloads[name] = _Workload(
            application_port, first.implements, first.uses, first.plaintext, replica_of=of)

    def workload_of(self, name):
        """The workload that proxy `name` belongs to."""
        return self.workloads[name].replica_of or name

    def virtual_service(self, name):
        """A service without endpoints of its own: a parent for routes."""
        self.workloads.setdefault(name, None)

    def service_documents(self):
        documents = []
        for name, workload in self.workloads.items():
            if workload is None:
                documents.append(manifests.service(name, None))
                continue
            if workload.replica_of:
                continue
            ports = [proxy.port("inbound") for instance, proxy in self.proxies.items()
                     if self.workload_of(instance) == name]
            documents += [
                manifests.service(workload.implements, name, ports),
                manifests.workload(name, workload.implements, workload.uses)]
        return documents

    def start(self, seconds=30.0):
        """Controller, tokens, proxies; then the endpoints, known only now, are applied."""
        manifests.save(
            os.path.join(self.manifests, "mesh.yaml"),
            [manifests.mesh(self.leaf_lifetime, self.trust_domain)])
        manifests.save(
            os.path.join(self.manifests, "services.yaml"), self.service_documents())
        if self.routes:
            manifests.save(os.path.join(self.manifests, "routes.yaml"), self.routes)
        self.start_controller()
        for name, workload in self.workloads.items():
            if workload:
                self.start_proxy(name)
        for proxy in self.proxies.values():
            proxy.wait_until_ready(seconds)
        self.apply("services.yaml", self.service_documents())
        return self

    def start_controller(self):
        """Starts it, again on its former ports after it was stopped or killed."""
        stream, web = (self.controller.stream_port, self.controller.web_port) \
            if self.controller else (0, 0)
        self.controller = Controller(
            self.binaries, self.manifests, self.data,
            os.path.join(self.directory, "controller.log"), stream, web)
        self.history.append(self.controller)
        return self.controller

    def token(self, workload, file=None, ttl="1h"):
        """Path of a fresh join token."""
        path = os.path.join(self.directory, file or f"{workload}.token")
        self.meshctl("token", "create", "--workload", workload, "--ttl", ttl, "--out", path)
        return path

    def configuration(self, name, token=None):
        """The configuration of a workload's first proxy."""
        workload = self.workloads[name]
        loopback = {"address": "127.0.0.1", "port": 0}
        return {
            "workers": self.workers, "admin": dict(loopback), "outbound": dict(loopback),
            "inbound": {
                "listen": dict(loopback), "plaintext": workload.plaintext,
                "application": {"address": "127.0.0.1", "port": workload.application_port}},
            "controller": {
                "address": {"address": "127.0.0.1", "port": self.controller.stream_port},
                "joinTokenFile": token or self.token(
                    self.workload_of(name), file=f"{name}.token")},
            "dataDirectory": os.path.join(self.directory, f"{name}-data"),
            "accessLog": self.access_log, "drain": self.drain}

    def start_proxy(self, name):
        """Starts a workload's proxy, again on its former ports and data after it was stopped."""
        former = self.proxies.get(name)
        configuration = former.configuration_with_real_ports() if former \
            else self.configuration(name)
        proxy = Proxy(self.binaries, name, configuration, self.directory)
        self.proxies[name] = proxy
        self.history.append(proxy)
        return proxy

    def meshctl(self, *arguments, check=True):
        """(status, standard output, standard error) of a meshctl against our controller."""
        return run([self.binaries.path("meshctl"), *arguments, "--data", self.data], check=check)

    def apply(self, file, documents, check=True):
        """`meshctl apply --wait`: seconds until every affected proxy has acknowledged."""
        path = os.path.join(self.staging, file)
        manifests.save(path, documents)
        began = time.monotonic()
        self.last_apply = self.meshctl("apply", "--wait", path, check=check)
        return time.monotonic() - began

    def save(self, file, documents):
        """Writes into the watched directory itself, as an editor or a git pull does."""
        manifests.save(os.path.join(self.manifests, file), documents)

    def status(self):
        """What `meshctl status --json` says."""
        return json.loads(self.meshctl("status", "--json")[1])

    def wait_until_settled(self, seconds=30.0):
        """Waits until every proxy is connected and holds what it should.

        A controller that has just started knows no proxies yet, so `apply --wait` would have
        nobody to wait for.
        """
        def is_settled():
            rows = [row for row in self.status()["proxies"] if row["isUpToDate"]]
            return len({row["workload"] for row in rows}) == \
                len({self.workload_of(name) for name in self.proxies})
        eventually(is_settled, "every proxy is connected and up to date", seconds)

    def stop(self):
        """Ends every process."""
        stop_all([child for child in self.history if child.is_running()])
