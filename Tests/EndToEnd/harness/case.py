"""The test case every end-to-end test extends: starts apps and proxies, stops them, keeps logs."""

import os
import shutil
import tempfile
import unittest

from localmesh.mesh import LocalMesh
from localmesh.processes import Proxy, run, stop_all

from . import snapshots
from .app import App, echo
from .certificates import Authority

#: Set by the runner before any test starts.
binaries = None
is_long = False


def prebuilt():
    """Where the binaries under test are."""
    if binaries is None:
        raise RuntimeError("run the tests by deploy/test")
    return binaries


class EndToEndCase(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="mesh-e2e-")
        self.children, self.apps, self.meshes = [], [], []
        self.addCleanup(self._clean_up)

    def _clean_up(self):
        for mesh in self.meshes:
            mesh.stop()
        stop_all(self.children)
        for app in filter(lambda app: app.is_listening, self.apps):
            app.stop()
        shutil.rmtree(self.directory)
        self.assertEqual([], [error for app in self.apps for error in app.errors])
        for child in self.all_children():
            self.assertEqual(
                [], child.logged(unstructured=True), f"{child.name} logs something but JSON")

    def all_children(self):
        return self.children + [child for mesh in self.meshes for child in mesh.history]

    def app(self, handler=echo):
        app = App(handler)
        self.apps.append(app)
        return app

    def authority(self, *arguments, **named):
        return Authority(self.directory, *arguments, **named)

    def mesh(self, **options):
        """A mesh with a controller; the test adds workloads and starts it."""
        mesh = LocalMesh(prebuilt(), tempfile.mkdtemp(dir=self.directory), **options)
        self.meshes.append(mesh)
        return mesh

    def proxy(self, name, configuration, ready=True, **options):
        """Starts a proxy with this configuration; absent parts get what tests want."""
        full = {"admin": snapshots.address(0), "accessLog": "off",
                "drain": {"gracePeriod": "10s", "propagation": "100ms"}, **configuration}
        file_name = f"{name}-{len(self.children)}"
        proxy = Proxy(prebuilt(), file_name, full, self.directory, **options)
        self.children.append(proxy)
        return proxy.wait_until_ready() if ready else proxy

    def outbound_proxy(self, services, clusters, certificate=None, authority=None, name="web",
                       mesh=None, **more):
        """A static proxy with only an outbound listener; `mesh` has more fields of its mesh."""
        configuration = {
            "outbound": snapshots.address(0),
            "mesh": snapshots.mesh(name, services, clusters, **(mesh or {})), **more}
        if certificate:
            configuration["identity"] = self._identity(certificate, authority)
        return self.proxy(name, configuration)

    def inbound_proxy(self, app, certificate=None, authority=None, name="orders", inbound=None,
                      mesh=None, **more):
        """A static proxy with only an inbound listener; plain text without a certificate. `mesh` has
        more fields of its mesh."""
        configuration = {
            "inbound": {"listen": snapshots.address(0),
                        "application": snapshots.address(app.port),
                        "plaintext": certificate is None},
            "mesh": snapshots.mesh(name, inbound=inbound, **(mesh or {})), **more}
        if certificate:
            configuration["identity"] = self._identity(certificate, authority)
        return self.proxy(name, configuration)

    @staticmethod
    def _identity(certificate, authority):
        return {"certificateFile": certificate.certificate, "keyFile": certificate.key,
                "trustBundleFile": authority.bundle}

    def plain_hop(self, handler=echo, timeouts=None, cluster=None, **more):
        """(app, proxy): one outbound proxy before an app, no TLS; the service is `orders`."""
        app = self.app(handler)
        proxy = self.outbound_proxy(
            [snapshots.service("orders", [snapshots.route(
                "orders", "orders.default", timeouts=timeouts)])],
            [snapshots.cluster("orders.default", app.port, **(cluster or {}))], **more)
        return app, proxy

    def two_hops(self, handler=echo, **more):
        """(app, web's proxy, orders' proxy): outbound → mTLS → inbound → app."""
        app, authority = self.app(handler), self.authority()
        orders = self.inbound_proxy(app, authority.issue("orders"), authority, **more)
        web = self.outbound_proxy(
            [snapshots.service("orders", [snapshots.route("orders", "orders.default")])],
            [snapshots.cluster("orders.default", orders.port("inbound"),
                               identities=[authority.spiffe_id("orders")])],
            authority.issue("web"), authority, **more)
        return app, web, orders

    def configuration_file(self, name, text):
        path = os.path.join(self.directory, name)
        with open(path, "w") as file:
            file.write(text)
        return path

    def command(self, program, *arguments, check=True):
        return run([prebuilt().path(program), *arguments], check=check)

    def assertNoFailures(self, load):
        failures = load.failures()
        self.assertEqual(
            [], failures[:5], f"{len(failures)} of {load.count()} requests failed")
        self.assertGreater(load.count(), 0, "no request was made")
