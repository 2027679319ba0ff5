"""Opaque TCP through two sidecars over mTLS: what databases and mail servers need."""

import glob
import os
import pathlib
import pwd
import shutil
import socket
import subprocess
import threading
import unittest

from harness import snapshots
from harness.case import EndToEndCase
from harness.streams import (
    StreamServer, connect, hash_all, read_all, reset, send_random)
from localmesh.waiting import eventually


class TCPCase(EndToEndCase):
    def tunnel(self, application_port, identities=("db",), port=5432):
        """(port to connect to, caller's proxy, service's proxy): listener → mTLS → application."""
        authority = self.authority()
        db = self.proxy("db", {
            "inbound": {"listen": snapshots.address(0),
                        "application": snapshots.address(application_port)},
            "identity": self._identity(authority.issue("db"), authority),
            "accessLog": "all",
            "mesh": snapshots.mesh("db", inbound={"protocol": "tcp"})})
        service = {**snapshots.service(
            "db", [snapshots.route("db", "db.default")], port), "protocol": "tcp"}
        web = self.proxy("web", {
            "tcpListeners": [{"listen": snapshots.address(0), "service": "db", "port": port}],
            "identity": self._identity(authority.issue("web"), authority),
            "accessLog": "all",
            "mesh": snapshots.mesh("web", [service], [snapshots.cluster(
                "db.default", db.port("inbound"), protocol="tcp",
                identities=[authority.spiffe_id(name) for name in identities])])})
        return web.port("tcp"), web, db

    def server(self, handler):
        server = StreamServer(handler)
        self.addCleanup(lambda: self.assertEqual([], server.errors))
        self.addCleanup(server.stop)
        return server

    def assertEnded(self, proxy, reason, count=1, **labels):
        eventually(
            lambda: proxy.admin.metrics().sum(
                "mesh_tcp_connections_total", reason=reason, **labels) == count,
            f"{proxy.name} counts {count} connections that ended by {reason}", 10)


class Streams(TCPCase):
    def test_random_bytes_cross_both_ways_at_once_unchanged(self):
        sent = {}

        def serve(connection):
            sender = threading.Thread(target=lambda: sent.update(
                server=send_random(connection, 24 << 20, 2)))
            sender.start()
            sent["server got"] = hash_all(connection)
            sender.join()

        port, web, db = self.tunnel(self.server(serve).port)
        with connect(port) as caller:
            receiver = threading.Thread(target=lambda: sent.update(
                **{"caller got": hash_all(caller)}))
            receiver.start()
            sent["caller"] = send_random(caller, 24 << 20, 1)
            receiver.join()
        self.assertEnded(web, "finished", direction="outbound", service="db.default")
        self.assertEnded(db, "finished", direction="inbound",
                         peer="spiffe://mesh.internal/ns/default/sa/web")
        # The server notes its hashes after its connection has ended for everybody else.
        eventually(lambda: {"server", "server got"} <= sent.keys(), "the server is done")
        self.assertEqual(sent["caller"], sent["server got"])
        self.assertEqual(sent["server"], sent["caller got"])
        metrics = web.admin.metrics()
        self.assertEqual(24 << 20, metrics.sum("mesh_tcp_received_bytes_total"))
        self.assertEqual(24 << 20, metrics.sum("mesh_tcp_sent_bytes_total"))
        self.assertEqual(0, metrics.sum("mesh_tcp_connections_active"))
        for proxy in (web, db):
            proxy.wait_for_log("connection")
            self.assertEqual(1, len(proxy.logged("connection")), proxy.tail())

    def test_half_close_keeps_the_other_direction(self):
        def serve(connection):
            question = read_all(connection)
            connection.sendall(b"you said " + question)

        port, *_ = self.tunnel(self.server(serve).port)
        with connect(port) as caller:
            caller.sendall(b"all of it")
            caller.shutdown(socket.SHUT_WR)
            self.assertEqual(b"you said all of it", read_all(caller))

    def test_the_server_may_end_first(self):
        heard = []

        def serve(connection):
            connection.sendall(b"bye")
            connection.shutdown(socket.SHUT_WR)
            heard.append(read_all(connection))

        port, *_ = self.tunnel(self.server(serve).port)
        with connect(port) as caller:
            self.assertEqual(b"bye", read_all(caller))
            caller.sendall(b"one more thing")
        eventually(lambda: heard == [b"one more thing"], "the server hears the rest", 10)

    def test_a_server_that_speaks_first_is_heard(self):
        def serve(connection):
            connection.sendall(b"220 ready\r\n")
            connection.sendall(b"250 " + connection.recv(100))

        port, *_ = self.tunnel(self.server(serve).port)
        with connect(port) as caller:
            self.assertEqual(b"220 ready\r\n", caller.recv(100))
            caller.sendall(b"HELO\r\n")
            self.assertEqual(b"250 HELO\r\n", caller.recv(100))

    def test_resets_are_resets_on_the_other_end(self):
        def serve(connection):
            connection.recv(1)
            reset(connection)

        port, web, db = self.tunnel(self.server(serve).port)
        with connect(port) as caller:
            caller.sendall(b"x")
            with self.assertRaises(ConnectionResetError):
                caller.recv(1)
        self.assertEnded(db, "upstream_reset")
        self.assertEnded(web, "upstream_reset")

    def test_the_wrong_identity_gets_no_byte(self):
        seen = []
        port, web, _ = self.tunnel(
            self.server(lambda connection: seen.append(connection.recv(1))).port, ["other"])
        with connect(port) as caller, self.assertRaises((ConnectionResetError, BrokenPipeError)):
            caller.sendall(b"secret")
            caller.recv(1)
        self.assertEnded(web, "upstream_tls")
        self.assertEqual([], seen)

    def test_an_application_that_is_away_is_a_reset(self):
        server = StreamServer(lambda connection: None)
        server.stop()
        port, web, db = self.tunnel(server.port)
        with connect(port) as caller, self.assertRaises(ConnectionResetError):
            caller.recv(1)
        self.assertEnded(db, "connect_failed")
        self.assertEnded(web, "upstream_reset")

    def test_a_drain_lets_a_connection_finish(self):
        def serve(connection):
            connection.sendall(b"hello")
            connection.sendall(read_all(connection))

        port, web, _ = self.tunnel(self.server(serve).port)
        with connect(port) as caller:
            self.assertEqual(b"hello", caller.recv(100))
            web.process.terminate()
            web.wait_for_log("draining")
            caller.sendall(b"last words")
            caller.shutdown(socket.SHUT_WR)
            self.assertEqual(b"last words", read_all(caller))
        self.assertEqual(0, web.process.wait(10))


@unittest.skipUnless(shutil.which("redis-server"), "no redis-server (apt-get install redis)")
class Redis(TCPCase):
    def test_redis_works(self):
        listener = socket.create_server(("127.0.0.1", 0))
        own = listener.getsockname()[1]
        listener.close()
        server = subprocess.Popen(
            ["redis-server", "--port", str(own), "--bind", "127.0.0.1", "--save", "",
             "--appendonly", "no", "--dir", self.directory], stdout=subprocess.DEVNULL)
        self.addCleanup(server.wait, 10)
        self.addCleanup(server.terminate)
        port, web, _ = self.tunnel(own, port=6379)

        def redis(*arguments, **options):
            done = subprocess.run(
                ["redis-cli", "-h", "127.0.0.1", "-p", str(port), *arguments],
                capture_output=True, text=True, timeout=60, **options)
            return done.stdout.strip()

        eventually(lambda: redis("PING") == "PONG", "redis answers", 20)
        self.assertEqual("OK", redis("SET", "key", "value"))
        # Inline, in a form that looks like HTTP's.
        self.assertEqual("value", redis("GET", "key"))
        big = "x" * 3_000_000
        self.assertEqual("OK", redis("-x", "SET", "big", input=big))
        self.assertEqual("3000000", redis("STRLEN", "big"))
        self.assertEqual(big, redis("GET", "big"))
        done = subprocess.run(
            ["redis-benchmark", "-h", "127.0.0.1", "-p", str(port), "-q", "-n", "2000", "-c", "20",
             "-P", "4", "-t", "set,get,lpush"], capture_output=True, text=True, timeout=120)
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertEqual(0, web.admin.metrics().sum(
            "mesh_tcp_connections_total", reason="upstream_reset"))


_POSTGRES = next((
    directory for directory in sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True)
    if all(os.access(os.path.join(directory, program), os.X_OK)
           for program in ("initdb", "postgres", "psql", "pgbench"))), None)


@unittest.skipUnless(_POSTGRES, "no PostgreSQL (apt-get install postgresql)")
class PostgreSQL(TCPCase):
    def test_postgresql_works(self):
        listener = socket.create_server(("127.0.0.1", 0))
        own = listener.getsockname()[1]
        listener.close()
        data = os.path.join(self.directory, "postgres")
        os.mkdir(data, 0o700)
        user = {}
        if os.getuid() == 0:
            # It refuses to run as root.
            try:
                account = pwd.getpwnam("postgres")
            except KeyError:
                self.skipTest("no account postgres, and PostgreSQL does not run as root")
            os.chown(data, account.pw_uid, account.pw_gid)
            os.chmod(self.directory, 0o711)
            for parent in pathlib.Path(data).parents:
                if not parent.stat().st_mode & 0o001:
                    self.skipTest(f"{parent} is closed to the account postgres")
            user = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        subprocess.run(
            [os.path.join(_POSTGRES, "initdb"), "-D", data, "-U", "mesh", "-A", "trust",
             "--no-sync"], check=True, cwd="/", stdout=subprocess.DEVNULL, **user)
        server = subprocess.Popen(
            [os.path.join(_POSTGRES, "postgres"), "-D", data, "-p", str(own), "-h", "127.0.0.1",
             "-k", "", "-F"], cwd="/", stderr=subprocess.DEVNULL, **user)
        self.addCleanup(server.wait, 20)
        self.addCleanup(server.terminate)
        port, web, _ = self.tunnel(own)
        there = ["-h", "127.0.0.1", "-p", str(port), "-U", "mesh"]

        def psql(command, text=None):
            return subprocess.run(
                [os.path.join(_POSTGRES, "psql"), *there, "-d", "postgres", "-Atc", command],
                capture_output=True, text=True, timeout=60, input=text)

        eventually(lambda: psql("select 1").stdout == "1\n", "PostgreSQL answers", 30)
        self.assertEqual("t\n", psql("select length(repeat('x', 9000000)) = 9000000").stdout)
        self.assertEqual(9_000_001, len(psql("select repeat('x', 9000000)").stdout))
        self.assertEqual("CREATE TABLE\n", psql("create table lines (line text)").stdout)
        rows = "".join(f"row {number}\n" for number in range(100_000))
        self.assertEqual("COPY 100000\n", psql("copy lines from stdin", rows).stdout)
        self.assertEqual(rows, psql("copy lines to stdout").stdout)
        for arguments in (["-i", "-q"], ["-c", "4", "-t", "50", "-n"]):
            done = subprocess.run(
                [os.path.join(_POSTGRES, "pgbench"), *there, *arguments, "postgres"],
                capture_output=True, text=True, timeout=120)
            self.assertEqual(0, done.returncode, done.stderr)
        self.assertGreater(web.admin.metrics().sum(
            "mesh_tcp_connections_total", reason="finished"), 5)
