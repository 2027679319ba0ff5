"""Workloads on machines of their own: an application that knows nothing of the mesh, its sidecar,
and the rules that send the one's traffic through the other."""

import contextlib
import json
import os
import socket
import tempfile
import threading

from localmesh import manifests
from localmesh.processes import Admin, Child, Proxy

from . import snapshots
from .app import App, echo
from .case import EndToEndCase, prebuilt
from .namespaces import APPLICATION, PROXY, Network, unavailable

#: Where the sidecars of all machines listen: every address, both families.
OUTBOUND, INBOUND, DNS, ADMIN = 15001, 15006, 15053, 15000
CONTROL = 15010


class TCPApp:
    """Runs `conversation(connection)` for each connection to a port of a machine."""

    def __init__(self, machine, port, conversation, address="127.0.0.1"):
        self.conversation = conversation
        #: What went wrong in conversations, the other side's hanging up aside.
        self.errors = []
        #: Addresses of those who connected.
        self.peers = []
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with machine.entered():
            self._listener = socket.create_server((address, port), family=family, backlog=64)
            threading.Thread(target=self._accept, daemon=True).start()

    @property
    def is_listening(self):
        return self._listener.fileno() >= 0

    def stop(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self):
        with contextlib.suppress(OSError):  # stopped
            while True:
                connection, peer = self._listener.accept()
                self.peers.append(peer[0])
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        connection.settimeout(20)
        try:
            with connection:
                self.conversation(connection)
        except OSError:
            pass
        except Exception as error:  # reported by the test case
            self.errors.append(error)


class RemoteAdmin(Admin):
    """The admin endpoints of a proxy on a machine."""

    def __init__(self, machine, port):
        super().__init__(port)
        self._machine = machine

    def request(self, method, path):
        with self._machine.entered():
            return super().request(method, path)


class Sidecar(Proxy):
    """A proxy on a machine, as the proxy's user."""

    def __init__(self, machine, configuration, directory):
        self.machine = machine
        super().__init__(
            prebuilt(), machine.name, configuration, directory, wrapper=machine.wrapper(PROXY))

    @property
    def admin(self):
        return RemoteAdmin(self.machine, ADMIN)


class MachinesCase(EndToEndCase):
    """Machines `web` and `orders` of the mesh, and `outside`, which has no sidecar."""

    def setUp(self):
        if reason := unavailable():
            self.skipTest(reason)
        super().setUp()
        self.network = Network()
        self.addCleanup(self.network.remove)
        self.ours = self.authority()
        self.web, self.orders, self.outside = map(self.network.add, ("web", "orders", "outside"))

    def http_app(self, machine, handler=echo, port=8080):
        with machine.entered():
            app = App(handler, port)
        self.apps.append(app)
        return app

    def tcp_app(self, machine, port, conversation, address="127.0.0.1"):
        app = TCPApp(machine, port, conversation, address)
        self.apps.append(app)
        return app

    def sidecar(self, machine, services=(), clusters=(), ports=(), redirect=(), unknown="pass",
                **more):
        """Starts a machine's proxy and sends the machine's traffic through it.

        `ports` are the application's declared ones as (port, protocol)."""
        mesh = snapshots.mesh(machine.name, services, clusters, {
            "ports": [{"port": port, "protocol": protocol} for port, protocol in ports]})
        certificate = self.ours.issue(machine.name)
        return self._intercept(machine, redirect, {
            "mesh": {**mesh, "unknownDestinations": unknown},
            "identity": self._identity(certificate, self.ours), **more})

    def controlled_sidecar(self, machine, redirect=()):
        """The same with a proxy that is told everything by `controller`."""
        data = tempfile.mkdtemp(dir=self.directory)
        os.chown(data, PROXY, PROXY)
        token = os.path.join(self.directory, f"{machine.name}.token")
        self.meshctl("token", "create", "--workload", machine.name, "--ttl", "1h", "--out", token)
        os.chown(token, PROXY, PROXY)
        return self._intercept(machine, redirect, {
            "controller": {"address": {"address": self.control.ipv4, "port": CONTROL},
                           "joinTokenFile": token},
            "dataDirectory": data})

    def _intercept(self, machine, redirect, configuration):
        proxy = self.start_sidecar(machine, {
            "admin": snapshots.address(ADMIN), "accessLog": "all",
            "drain": {"gracePeriod": "10s", "propagation": "100ms"},
            "outbound": {"address": "::", "port": OUTBOUND},
            "inbound": {"listen": {"address": "::", "port": INBOUND},
                        "application": snapshots.address(8080)},
            "interception": {"outbound": True, "inbound": True},
            "dns": {"listen": snapshots.address(DNS)}, **configuration})
        machine.redirect("set", "--uid", str(PROXY), *redirect)
        return proxy

    def start_controller(self, *documents):
        """A controller on a machine of its own, `control`, with these manifests."""
        self.control = self.network.add("control")
        self.manifests, self.data = (tempfile.mkdtemp(dir=self.directory) for _ in range(2))
        manifests.save(os.path.join(self.manifests, "all.yaml"), documents)
        self.controller = Child("controller", [
            *self.control.wrapper(), prebuilt().path("mesh-controller"), "run",
            "--manifests", self.manifests, "--data", self.data,
            "--listen", f"{self.control.ipv4}:{CONTROL}", "--web", "127.0.0.1:0"],
            os.path.join(self.directory, "controller.log"))
        self.children.append(self.controller)
        self.controller.wait_for_log("listening", listener="operator")

    def meshctl(self, *arguments):
        return self.command("meshctl", *arguments, "--data", self.data)

    def apply(self, *documents):
        """Replaces the manifests; returns when every proxy has what follows from them."""
        path = os.path.join(self.directory, "all.yaml")
        manifests.save(path, documents)
        self.meshctl("apply", "--wait", path)

    def start_sidecar(self, machine, configuration):
        """A proxy alone; the rules stay as they are."""
        proxy = Sidecar(machine, configuration, tempfile.mkdtemp(dir=self.directory))
        self.children.append(proxy)
        return proxy.wait_until_ready()

    def cluster(self, machine, port, **more):
        """Endpoints at a machine's own port, where interception makes TLS of it."""
        return {"name": f"{machine.name}-{port}",
                "security": {"mutual": [self.ours.spiffe_id(machine.name)]},
                "endpoints": [{"address": {"address": machine.ipv4, "port": port}}], **more}

    @staticmethod
    def service(name, cluster, port=80, addresses=(), **more):
        return {**snapshots.service(name, [snapshots.route(name, cluster["name"])], port),
                "name": f"{name}.default", "addresses": list(addresses), **more}

    @staticmethod
    def curl(machine, *arguments, user=APPLICATION):
        """(exit status, HTTP status, body) of a plain curl by an application."""
        done = machine.run(
            "env", "-i", f"PATH={os.environ['PATH']}", "curl", "--silent", "--show-error",
            "--max-time", "15", "--write-out", "\n%{http_code}", *arguments, user=user,
            check=False, timeout=30)
        body, _, status = done.stdout.rpartition("\n")
        return done.returncode, int(status or 0), body

    def assertAnswered(self, machine, *arguments, **named):
        """The JSON an `echo` application answered to a plain curl."""
        code, status, body = self.curl(machine, *arguments, **named)
        self.assertEqual((0, 200), (code, status), body)
        return json.loads(body)
