"""Transparent interception: applications that know nothing of the mesh, on machines of their own.

Both sidecars, the rules of deploy/redirect and the names are real; the applications are plain curl,
plain sockets, and real databases where they are installed.
"""

import contextlib
import glob
import hashlib
import os
import shutil
import socket
import struct
import tempfile
import threading

from harness.app import named
from harness.machines import INBOUND, OUTBOUND, MachinesCase
from harness.namespaces import APPLICATION, PROXY
from localmesh import manifests
from localmesh.processes import Child
from localmesh.waiting import eventually

#: Virtual addresses of services; no machine has them.
ORDERS, ORDERS_IPV6 = "240.0.0.10", "fd00:240::10"
DATABASE, DATABASE_IPV6 = "240.0.0.20", "fd00:240::20"


def receive_all(connection):
    received = bytearray()
    while data := connection.recv(65536):
        received += data
    return bytes(received)


def receive(connection, count):
    received = bytearray()
    while len(received) < count and (data := connection.recv(count - len(received))):
        received += data
    return bytes(received)


def line(connection):
    """Up to a line's end, and not a byte more."""
    received = bytearray()
    while not received.endswith(b"\n") and (data := connection.recv(1)):
        received += data
    return bytes(received)


def greet(connection):
    """A server that speaks first, and in turns from then on."""
    connection.sendall(b"220 ready\r\n")
    while command := line(connection):
        connection.sendall(b"250 " + command)


class HTTP(MachinesCase):
    def setUp(self):
        super().setUp()
        self.app_behind = self.http_app(self.orders)
        cluster = self.cluster(self.orders, 8080)
        service = self.service("orders", cluster, addresses=[ORDERS, ORDERS_IPV6])
        self.orders_proxy = self.sidecar(self.orders, ports=[(8080, "http1")])
        self.web_proxy = self.sidecar(self.web, [service], [cluster])
        self.web.write("hosts", f"127.0.0.1 localhost\n{ORDERS} orders\n")

    def _inbound(self, name, **labels):
        return self.orders_proxy.admin.metrics().sum(name, direction="inbound", **labels)

    def test_a_plain_call_by_name_crosses_the_mesh_with_identities(self):
        heard = self.assertAnswered(self.web, "http://orders/a?b=c")
        self.assertEqual(("GET", "/a?b=c"), (heard["method"], heard["target"]))
        self.assertIn(["Host", "orders"], heard["fields"])
        self.assertEqual(1, self._inbound("mesh_tls_handshakes_total"))
        eventually(lambda: self._inbound(
            "http_requests_total", peer=self.ours.spiffe_id("web")) == 1,
            "the request is counted for its caller")

    def test_it_does_so_over_ipv6(self):
        self.web.write("hosts", f"127.0.0.1 localhost\n{ORDERS_IPV6} orders\n")
        self.assertEqual("/", self.assertAnswered(self.web, "http://orders/")["target"])
        self.assertAnswered(self.web, f"http://[{ORDERS_IPV6}]/")
        self.assertEqual(2, len(self.app_behind.requests))

    def test_bodies_arrive_whole(self):
        sent = os.urandom(3_000_000)
        path = os.path.join(self.directory, "body")
        with open(path, "wb") as file:
            file.write(sent)
        heard = self.assertAnswered(
            self.web, "--data-binary", f"@{path}", "http://orders/upload", user=None)
        self.assertEqual((len(sent), hashlib.sha256(sent).hexdigest()),
                         (heard["length"], heard["sha256"]))

    def test_every_connection_passes_each_sidecar_once(self):
        for _ in range(3):
            self.assertAnswered(self.web, "http://orders/")
        web = self.web_proxy.admin.metrics()
        self.assertEqual(3, web.sum("mesh_connections_accepted_total", direction="outbound"))
        self.assertEqual(0, web.sum("mesh_connections_accepted_total", direction="inbound"))
        orders = self.orders_proxy.admin.metrics()
        self.assertEqual(0, orders.sum("mesh_connections_accepted_total", direction="outbound"))
        self.assertEqual(1, orders.sum("mesh_connections_accepted_total", direction="inbound"))

    def test_an_application_reaches_itself_without_its_sidecar(self):
        for address in ("127.0.0.1", "localhost"):
            self.assertAnswered(self.orders, f"http://{address}:8080/")
        self.assertEqual(0, self._inbound("mesh_connections_accepted_total"))

    def test_the_outbound_listener_can_still_be_called_by_its_port(self):
        self.assertAnswered(self.web, "-H", "Host: orders", f"http://127.0.0.1:{OUTBOUND}/")
        self.assertAnswered(self.web, "-x", f"http://[::1]:{OUTBOUND}", "http://orders/")

    def test_http2_with_prior_knowledge_is_detected(self):
        code, status, _ = self.curl(self.web, "--http2-prior-knowledge", "http://orders/")
        self.assertEqual((0, 200), (code, status))
        self.assertEqual("HTTP/1.1", self.app_behind.requests[-1].first_line.split()[-1].decode())

    def test_a_restarted_proxy_takes_over_under_the_same_rules(self):
        self.assertAnswered(self.web, "http://orders/")
        self.web_proxy.kill()
        code, _, _ = self.curl(self.web, "http://orders/")
        self.assertEqual(7, code, "without a proxy the connection is refused, not let past it")
        self.start_sidecar(self.web, self.web_proxy.configuration)
        self.assertAnswered(self.web, "http://orders/")
        self.orders_proxy.kill()
        self.assertNotEqual(200, self.curl(self.web, "http://orders/")[1])
        self.start_sidecar(self.orders, self.orders_proxy.configuration)
        eventually(lambda: self.curl(self.web, "http://orders/")[1] == 200,
                   "the call succeeds again")

    def test_without_the_rules_nothing_is_intercepted(self):
        self.web.redirect("remove")
        self.web.run("ip", "route", "add", ORDERS, "via", self.outside.ipv4)
        self.outside.run("ip", "address", "add", f"{ORDERS}/32", "dev", "lo")
        self.tcp_app(self.outside, 80, lambda connection: connection.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\noutside"), ORDERS)
        self.assertEqual((0, 200, "outside"), self.curl(self.web, "http://orders/"))


class Names(MachinesCase):
    """Names by DNS: the mesh's own from the snapshot, others from the machine's name server."""

    def setUp(self):
        super().setUp()
        self.http_app(self.orders)
        cluster = self.cluster(self.orders, 8080)
        self.sidecar(self.orders, ports=[(8080, "http1")])
        self.web.write("resolv.conf", f"nameserver {self.outside.ipv4}\noptions timeout:2\n")
        self.web.write("hosts", "127.0.0.1 localhost\n")
        self.sidecar(
            self.web,
            [self.service("orders", cluster, addresses=[ORDERS, ORDERS_IPV6])], [cluster],
            redirect=["--dns-port", "15053"])

    def test_a_service_is_found_by_its_names(self):
        for name in ("orders", "orders.default", "orders.default.svc.cluster.local"):
            with self.subTest(name):
                self.assertAnswered(self.web, f"http://{name}/")
        found = self.web.run("getent", "ahosts", "orders", user=APPLICATION).stdout
        self.assertIn(ORDERS, found)
        self.assertIn(ORDERS_IPV6, found)

    def test_other_names_are_asked_of_the_machines_name_server(self):
        asked = self._name_server("outside.example", self.outside.ipv4)
        found = self.web.run("getent", "ahostsv4", "outside.example", user=APPLICATION).stdout
        self.assertTrue(found.startswith(self.outside.ipv4), found)
        self.assertIn("outside.example", asked)
        self.assertEqual(
            2, self.web.run("getent", "ahostsv4", "no.example", check=False).returncode)
        self.assertAnswered(self.web, "http://orders/")
        self.assertNotIn("orders", asked)

    def _name_server(self, name, address):
        """Answers for one name on `outside`; the names it is asked for."""
        asked = []
        serving = self.outside.socket(self.outside.ipv4, socket.SOCK_DGRAM)
        serving.settimeout(None)
        serving.bind((self.outside.ipv4, 53))

        def stop():
            with contextlib.suppress(OSError):  # it has no peer, and wakes all the same
                serving.shutdown(socket.SHUT_RDWR)
            serving.close()

        def serve():
            with contextlib.suppress(OSError):  # stopped
                while True:
                    query, peer = serving.recvfrom(512)
                    if peer is None:
                        return
                    end, labels = 12, []
                    while length := query[end]:
                        labels.append(query[end + 1:end + 1 + length].decode())
                        end += 1 + length
                    asked.append(".".join(labels).lower())
                    question = query[12:end + 5]
                    kind, is_known = question[-4:-2], asked[-1] == name
                    answers = is_known and kind == b"\0\x01"
                    # QR, RD, RA; no error or no such name (RFC 1035 §4.1.1).
                    serving.sendto(
                        query[:2] + (b"\x81\x80" if is_known else b"\x81\x83")
                        + struct.pack("!4H", 1, int(answers), 0, 0) + question
                        + (struct.pack("!HHHIH", 0xC00C, 1, 1, 60, 4)
                           + socket.inet_aton(address) if answers else b""), peer)
        threading.Thread(target=serve, daemon=True).start()
        self.addCleanup(stop)
        return asked

    def test_either_family_alone_will_do(self):
        self.assertAnswered(self.web, "-4", "http://orders/")
        self.assertAnswered(self.web, "-6", "http://orders/")


class TCP(MachinesCase):
    """Bytes that are not HTTP, declared or not, through both sidecars."""

    def _mesh(self, conversation, protocol="auto", port=5432, **more):
        self.app_behind = self.tcp_app(self.orders, port, conversation)
        cluster = self.cluster(self.orders, port, protocol=protocol)
        service = self.service("database", cluster, port,
                               [DATABASE, DATABASE_IPV6], protocol=protocol)
        self.orders_proxy = self.sidecar(self.orders, ports=[(port, protocol)], **more)
        self.web_proxy = self.sidecar(self.web, [service], [cluster], **more)

    def _assert_secured(self, handshakes=1):
        self.assertEqual(handshakes, self.orders_proxy.admin.metrics().sum(
            "mesh_tls_handshakes_total", direction="inbound"))

    def _greeted(self, address):
        with self.web.connect(address, 5432) as client:
            client.settimeout(20)
            self.assertEqual(b"220 ready\r\n", line(client))
            for command in (b"HELO web\n", b"QUIT\n"):
                client.sendall(command)
                self.assertEqual(b"250 " + command, line(client))

    def test_a_declared_server_may_speak_first_at_once(self):
        # Longer than the client waits: it would never be greeted if anything were detected.
        self._mesh(greet, "tcp", detection={"timeout": "1m"})
        self._greeted(DATABASE)
        self._greeted(DATABASE_IPV6)
        self._assert_secured(2)

    def test_an_undeclared_server_may_speak_first(self):
        self._mesh(greet)
        self._greeted(DATABASE)
        self._assert_secured()

    def test_an_undeclared_client_may_begin_with_a_few_bytes_and_wait(self):
        # PostgreSQL's request for TLS: 8 bytes, then the server's turn (protocol 3.0, §55.2.10).
        request = bytes.fromhex("00000008 04d2162f")

        def conversation(connection):
            if receive(connection, 8) == request:
                connection.sendall(b"N")
                connection.sendall(receive_all(connection))
        self._mesh(conversation, detection={"timeout": "1m"})
        with self.web.connect(DATABASE, 5432) as client:
            client.sendall(request)
            self.assertEqual(b"N", receive(client, 1))
            client.sendall(b"startup")
            client.shutdown(socket.SHUT_WR)
            self.assertEqual(b"startup", receive_all(client))
        self._assert_secured()

    def test_a_pipeline_of_small_commands_keeps_its_order(self):
        def conversation(connection):
            while command := line(connection):
                connection.sendall(b"+" + command)
        self._mesh(conversation, port=6379)
        commands = [b"PING %d\r\n" % number for number in range(1000)]
        with self.web.connect(DATABASE, 6379) as client:
            client.sendall(b"".join(commands))
            client.shutdown(socket.SHUT_WR)
            self.assertEqual(b"".join(b"+" + command for command in commands),
                             receive_all(client))

    def test_half_close_is_kept_in_both_directions(self):
        def conversation(connection):
            connection.sendall(b"%d bytes, then the end\n" % len(receive_all(connection)))
        self._mesh(conversation, "tcp")
        with self.web.connect(DATABASE, 5432) as client:
            client.sendall(b"x" * 100_000)
            client.shutdown(socket.SHUT_WR)
            self.assertEqual(b"100000 bytes, then the end\n", receive_all(client))

        def server_ends_first(connection):
            connection.sendall(b"go on")
            connection.shutdown(socket.SHUT_WR)
            self.heard = receive_all(connection)
        self.app_behind.conversation = server_ends_first
        with self.web.connect(DATABASE, 5432) as client:
            self.assertEqual(b"go on", receive_all(client))
            client.sendall(b"still here")
        eventually(lambda: self.heard == b"still here", "the server hears the client out")

    heard = None

    def test_megabytes_arrive_whole_both_ways_at_once(self):
        def conversation(connection):
            while data := connection.recv(65536):
                connection.sendall(data)
        self._mesh(conversation, "tcp")
        sent = os.urandom(1 << 20)
        received = hashlib.sha256()
        expected = hashlib.sha256()
        with self.web.connect(DATABASE, 5432) as client:
            client.settimeout(20)
            for _ in range(16):
                client.sendall(sent)
                expected.update(sent)
                received.update(receive(client, len(sent)))
        self.assertEqual(expected.hexdigest(), received.hexdigest())

    def test_a_server_that_is_not_there_ends_the_connection(self):
        self._mesh(greet, "tcp")
        self.app_behind.stop()
        with self.web.connect(DATABASE, 5432) as client:
            try:
                self.assertEqual(b"", receive_all(client))
            except ConnectionResetError:
                pass


class Databases(MachinesCase):
    """Real servers and clients, where they are installed."""

    def _serve(self, port, protocol):
        cluster = self.cluster(self.orders, port, protocol=protocol)
        service = self.service("database", cluster, port, [DATABASE], protocol=protocol)
        self.sidecar(self.orders, ports=[(port, protocol)])
        self.sidecar(self.web, [service], [cluster])
        self.web.write("hosts", f"127.0.0.1 localhost\n{DATABASE} database\n")
        self.data = tempfile.mkdtemp(dir=self.directory)
        os.chmod(self.directory, 0o755)
        os.chown(self.data, APPLICATION, APPLICATION)

    def _start(self, name, *command):
        server = _Server(name, [*self.orders.wrapper(APPLICATION), *command], cwd=self.data)
        self.addCleanup(server.kill)

    def test_redis_undeclared(self):
        server, client = shutil.which("redis-server"), shutil.which("redis-cli")
        if not (server and client):
            self.skipTest("needs redis-server and redis-cli (packages redis-server, redis-tools)")
        self._serve(6379, "auto")
        self._start("redis", server, "--bind", "127.0.0.1", "--port", "6379", "--save", "",
                    "--dir", self.data)

        def redis(*words):
            return self.web.run(client, "-h", "database", *words, user=APPLICATION).stdout.strip()
        eventually(lambda: redis("PING") == "PONG", "redis answers")
        self.assertEqual("OK", redis("SET", "greeting", "hello"))
        self.assertEqual("hello", redis("GET", "greeting"))
        self.assertEqual("1000", redis("EVAL", "for i = 1, 1000 do redis.call('INCR', 'n') end "
                                               "return redis.call('GET', 'n')", "0"))

    def test_postgresql_undeclared_and_declared(self):
        client = shutil.which("psql")
        binaries = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"))
        if not (client and binaries):
            self.skipTest("needs a PostgreSQL server and psql (package postgresql)")
        binaries = os.path.dirname(binaries[-1])
        # The server insists on having an account.
        self.orders.write("passwd", f"root:x:0:0::/root:/bin/sh\n"
                                    f"database:x:{APPLICATION}:{APPLICATION}::/:/bin/sh\n")
        self._serve(5432, "auto")
        self.orders.run(f"{binaries}/initdb", "-D", f"{self.data}/db", "-A", "trust", "--no-sync",
                        "-U", "database", user=APPLICATION, timeout=60, cwd=self.data)
        self._start("postgres", f"{binaries}/postgres", "-D", f"{self.data}/db", "-p", "5432",
                    "-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={self.data}",
                    "-c", "fsync=off")

        def psql(query):
            return self.web.run(client, "-h", "database", "-U", "database", "-d", "postgres",
                                "-Atc", query, user=APPLICATION).stdout.strip()
        eventually(lambda: psql("select 1") == "1", "PostgreSQL answers")
        self.assertEqual("500500", psql("select sum(n) from generate_series(1, 1000) n"))
        self.assertEqual(1_000_000, len(psql("select repeat('x', 1000000)")))


class _Server(Child):
    """Somebody else's program, whose log is no business of ours."""


class UnknownDestinations(MachinesCase):
    def setUp(self):
        super().setUp()
        self.http_app_outside = self.tcp_app(
            self.outside, 80, lambda connection: connection.sendall(
                b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\noutside")
            if line(connection) else None, self.outside.ipv4)
        self.greeter = self.tcp_app(self.outside, 25, greet, self.outside.ipv6)

    def test_they_are_passed_on_to_where_they_were_meant_to_go(self):
        proxy = self.sidecar(self.web, unknown="pass")
        self.assertEqual((0, 200, "outside"),
                         self.curl(self.web, f"http://{self.outside.ipv4}/"))
        with self.web.connect(self.outside.ipv6, 25) as client:
            client.settimeout(20)
            self.assertEqual(b"220 ready\r\n", line(client))
        self.assertEqual([self.web.ipv4], self.http_app_outside.peers)
        self.assertEqual([self.web.ipv6], self.greeter.peers)
        self.assertEqual(2, proxy.admin.metrics().sum(
            "mesh_connections_accepted_total", direction="outbound"))

    def test_they_are_refused_by_policy(self):
        self.sidecar(self.web, unknown="refuse")
        code, status, _ = self.curl(self.web, f"http://{self.outside.ipv4}/")
        self.assertNotEqual((0, 200), (code, status))
        with self.web.connect(self.outside.ipv6, 25) as client:
            try:
                self.assertEqual(b"", receive_all(client))
            except ConnectionResetError:
                pass
        self.assertEqual([], self.http_app_outside.peers + self.greeter.peers)

    def test_the_proxys_user_is_not_bound_by_it(self):
        self.sidecar(self.web, unknown="refuse")
        self.assertEqual((0, 200, "outside"),
                         self.curl(self.web, f"http://{self.outside.ipv4}/", user=PROXY))

    def test_excepted_networks_are_not_either(self):
        self.sidecar(self.web, unknown="refuse",
                     redirect=["--outbound-except-networks", self.outside.ipv4])
        self.assertEqual((0, 200, "outside"),
                         self.curl(self.web, f"http://{self.outside.ipv4}/"))

    def test_one_that_nobody_listens_at_is_an_error_soon(self):
        self.sidecar(self.web, unknown="pass")
        self.assertNotEqual(200, self.curl(self.web, f"http://{self.outside.ipv4}:81/")[1])


class Inbound(MachinesCase):
    def setUp(self):
        super().setUp()
        self.app_behind = self.http_app(self.orders, named("eighty-eighty"))
        self.second = self.http_app(self.orders, named("ninety-ninety"), 9090)
        self.orders_proxy = self.sidecar(
            self.orders, ports=[(8080, "http1"), (9090, "auto")],
            redirect=["--inbound-except-ports", "8081"])

    def test_the_original_port_chooses_the_applications(self):
        clusters = [self.cluster(self.orders, 8080), self.cluster(self.orders, 9090)]
        services = [self.service("one", clusters[0], addresses=["240.0.0.1"]),
                    self.service("two", clusters[1], addresses=["240.0.0.2"])]
        self.sidecar(self.web, services, clusters)
        self.web.write("hosts", "127.0.0.1 localhost\n240.0.0.1 one\n240.0.0.2 two\n")
        for name, answer in (("one", "eighty-eighty"), ("two", "ninety-ninety"), ("one", "eighty-eighty")):
            self.assertEqual((0, 200, answer), self.curl(self.web, f"http://{name}/"))

    def test_a_peer_may_also_call_the_inbound_port_itself(self):
        cluster = self.cluster(self.orders, INBOUND)
        self.sidecar(self.web, [self.service("orders", cluster, addresses=[ORDERS])], [cluster])
        self.web.write("hosts", f"127.0.0.1 localhost\n{ORDERS} orders\n")
        self.assertEqual((0, 200, "eighty-eighty"), self.curl(self.web, "http://orders/"))

    def test_plain_text_is_refused_and_counted(self):
        for port in (8080, 9090, 5432, INBOUND):
            for address in (self.orders.ipv4, f"[{self.orders.ipv6}]"):
                with self.subTest(port=port, address=address):
                    code, status, _ = self.curl(self.outside, f"http://{address}:{port}/")
                    self.assertNotEqual(0, code)
                    self.assertEqual(0, status)
        self.assertEqual([], self.app_behind.requests + self.second.requests)
        eventually(lambda: self.orders_proxy.admin.metrics().sum(
            "mesh_tls_failures_total", direction="inbound") >= 4, "the refusals are counted")

    def test_a_service_that_calls_itself_crosses_its_own_sidecar_twice(self):
        cluster = self.cluster(self.orders, 8080)
        self.orders_proxy.kill()
        proxy = self.sidecar(
            self.orders, [self.service("orders", cluster, addresses=[ORDERS])], [cluster],
            ports=[(8080, "http1")], redirect=["--hairpin"])
        self.orders.write("hosts", f"127.0.0.1 localhost\n{ORDERS} orders\n")
        self.assertEqual((0, 200, "eighty-eighty"), self.curl(self.orders, "http://orders/"))
        metrics = proxy.admin.metrics()
        for direction in ("outbound", "inbound"):
            self.assertEqual(1, metrics.sum(
                "mesh_connections_accepted_total", direction=direction))

    def test_an_excepted_port_is_open_to_everybody(self):
        self.tcp_app(self.orders, 8081, lambda connection: connection.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"), self.orders.ipv4)
        self.assertEqual((0, 200, "ok"),
                         self.curl(self.outside, f"http://{self.orders.ipv4}:8081/"))

    def test_the_outbound_port_is_closed_to_others(self):
        for address in (self.orders.ipv4, f"[{self.orders.ipv6}]"):
            code, _, _ = self.curl(self.outside, f"http://{address}:{OUTBOUND}/")
            self.assertEqual(7, code, "the connection is refused")


class Controlled(MachinesCase):
    """Everything from manifests: virtual addresses, protocols and ports, policy."""

    def setUp(self):
        super().setUp()
        self.http_app(self.orders)
        self.tcp_app(self.orders, 2525, greet)
        self.start_controller(*self._documents("pass"))
        self.web.write("resolv.conf", f"nameserver {self.outside.ipv4}\n")
        self.web.write("hosts", "127.0.0.1 localhost\n")
        self.controlled_sidecar(self.orders)
        self.web_proxy = self.controlled_sidecar(self.web, ["--dns-port", "15053"])

    def _documents(self, unknown):
        mesh = manifests.mesh()
        mesh["spec"]["unknownDestinations"] = unknown
        orders = manifests.service("orders", "orders")
        orders["spec"] |= {
            "ports": [{"port": 80, "protocol": "http", "targetPort": 8080},
                      {"port": 25, "protocol": "tcp", "targetPort": 2525}],
            "endpoints": [{"address": self.orders.ipv4}]}
        return [mesh, orders, manifests.workload("orders", "orders"),
                manifests.workload("web", uses=["orders"])]

    def test_names_addresses_protocols_and_ports_come_from_manifests(self):
        self.assertAnswered(self.web, "http://orders/")
        address = self.web.run("getent", "hosts", "orders", user=APPLICATION).stdout.split()[0]
        self.assertTrue(address.startswith("240."), address)
        with self.web.connect(address, 25) as client:
            client.settimeout(20)
            self.assertEqual(b"220 ready\r\n", line(client))

    def test_policy_for_unknown_destinations_changes_while_it_runs(self):
        def call():
            return self.curl(self.web, f"http://{self.outside.ipv4}/")[1]
        self.tcp_app(self.outside, 80, lambda connection: connection.sendall(
            b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
            if line(connection) else None, self.outside.ipv4)
        self.assertEqual(204, call())
        self.apply(*self._documents("refuse"))
        self.assertEqual(502, call())
        self.assertAnswered(self.web, "http://orders/")
        self.apply(*self._documents("pass"))
        self.assertEqual(204, call())

    def test_without_the_controller_everything_goes_on(self):
        self.controller.kill()
        self.assertAnswered(self.web, "http://orders/")
