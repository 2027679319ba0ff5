"""deploy/redirect by itself, with listeners that tell where each connection was meant to go."""

import contextlib
import json
import os
import pwd
import socket
import struct
import subprocess
import tempfile
import threading
import unittest

from harness.namespaces import APPLICATION, PROXY, Network, unavailable

_SCRIPT = os.path.join(
    os.path.dirname(os.path.abspath(__file__)), "..", "..", "deploy", "redirect")
_SO_ORIGINAL_DST = 80
_SET = ("set", "--uid", str(PROXY))


def original_destination(connection):
    """ADDRESS:PORT the peer asked for, as the kernel remembers it; None when that is here."""
    is_ipv6 = connection.family == socket.AF_INET6
    try:
        raw = connection.getsockopt(
            socket.IPPROTO_IPV6 if is_ipv6 else socket.IPPROTO_IP, _SO_ORIGINAL_DST, 28)
    except FileNotFoundError:
        return None
    port, = struct.unpack_from("!H", raw, 2)
    address = socket.inet_ntop(connection.family, raw[8:24] if is_ipv6 else raw[4:8])
    return None if (address, port) == connection.getsockname()[:2] else f"{address}:{port}"


class Listeners:
    """Listens on ports of a namespace, both families; tells every caller who answers and where it
    wanted to go, then echoes."""

    def __init__(self, namespace, **ports):
        self._open = []
        with namespace.entered():
            for name, port in ports.items():
                for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
                    listener = socket.create_server((address, port), family=family, backlog=64)
                    self._start(self._accept, f"{namespace.name}.{name}", listener)

    def datagrams(self, namespace, name, port, *addresses):
        """Answers datagrams, with the name alone, on these addresses."""
        with namespace.entered():
            for address in addresses:
                family = socket.AF_INET6 if ":" in address else socket.AF_INET
                answering = socket.socket(family, socket.SOCK_DGRAM)
                if family == socket.AF_INET6:
                    answering.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                answering.bind((address, port))
                self._start(self._answer, f"{namespace.name}.{name}", answering)
        return self

    def _start(self, target, name, listening):
        self._open.append(listening)
        threading.Thread(target=target, args=(name, listening), daemon=True).start()

    def _accept(self, name, listener):
        with contextlib.suppress(OSError):  # closed
            while True:
                connection, peer = listener.accept()
                threading.Thread(
                    target=self._talk, args=(name, connection, peer), daemon=True).start()

    @staticmethod
    def _talk(name, connection, peer):
        with contextlib.suppress(OSError), connection:
            connection.sendall(json.dumps({
                "who": name, "meant": original_destination(connection), "peer": peer[0],
            }).encode() + b"\n")
            while data := connection.recv(4096):
                connection.sendall(data)

    @staticmethod
    def _answer(name, answering):
        with contextlib.suppress(OSError):  # closed
            while True:
                _, peer = answering.recvfrom(512)
                if peer is None:
                    return  # shut down
                answering.sendto(name.encode(), peer)

    def close(self):
        for listening in self._open:
            with contextlib.suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)
            listening.close()


class Call:
    """A connection from a namespace; `who` answered and where it was `meant` to go."""

    def __init__(self, namespace, address, port, user=APPLICATION):
        self.socket = namespace.connect(address, port, user)
        self.stream = self.socket.makefile("rb")
        said = json.loads(self.stream.readline())
        self.who, self.meant, self.peer = said["who"], said["meant"], said["peer"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stream.close()
        self.socket.close()

    def says_back(self, text):
        self.socket.sendall(text + b"\n")
        return self.stream.readline() == text + b"\n"


def call(*arguments, **named):
    with Call(*arguments, **named) as made:
        return made.who, made.meant


def ask(namespace, address, port=53, user=APPLICATION, source_port=0):
    """Who answers a datagram, and from which port it was sent; the socket is connected, so that an
    answer from another address than was asked does not count."""
    with namespace.socket(address, socket.SOCK_DGRAM, user) as asking:
        asking.bind(("", source_port))
        asking.connect((address, port))
        asking.send(b"?")
        return asking.recv(512).decode(), asking.getsockname()[1]


class NamespaceCase(unittest.TestCase):
    def setUp(self):
        if reason := unavailable():
            self.skipTest(reason)
        self.network = Network()
        self.addCleanup(self.network.remove)
        self.web = self.network.add("web")
        self.orders = self.network.add("orders", "10.99.0.1", "fd99::1")

    def listeners(self, namespace, **ports):
        listeners = Listeners(namespace, **ports)
        self.addCleanup(listeners.close)
        return listeners

    def rules(self, namespace=None):
        return (namespace or self.web).run("nft", "--stateless", "list", "ruleset").stdout

    def assertRefused(self, namespace, address, port, **named):
        with self.assertRaises(ConnectionRefusedError):
            call(namespace, address, port, **named)


class Arguments(unittest.TestCase):
    """What needs neither root nor namespaces."""

    def _run(self, *arguments):
        return subprocess.run([_SCRIPT, *arguments], capture_output=True, text=True, check=False,
                              timeout=20)

    def test_every_mistake_is_named(self):
        mistakes = {
            "": "usage",
            "start": "unknown command 'start'",
            "remove all": "unknown argument 'all'",
            "status all": "status takes no arguments",
            "set": "--uid or --gid must say who the proxy is",
            "set --no-inbound": "--uid or --gid must say who the proxy is",
            "set --no-outbound --dns-port 15053": "--uid or --gid must say who the proxy is",
            "set --uid 1 --no-outbound --no-inbound": "nothing is left",
            "set --uid": "--uid needs a value",
            "set --uid=": "--uid: the value '' is empty",
            "set --uid 1 --uid 2": "--uid is given twice",
            "set --uid 1 --colour red": "unknown argument '--colour'",
            "set --uid 1 extra": "unknown argument 'extra'",
            "set --uid nobody-of-this-name": "--uid: there is no 'nobody-of-this-name'",
            "set --uid 4294967295": "--uid: '4294967295' is not an id",
            "set --uid 99999999999999999999": "is not an id",
            "set --uid 007": "--uid: '007' is not an id",
            "set --uid -1": "--uid: there is no '-1'",
            "set --uid 1,": "--uid: '1,' is not a list",
            "set --uid 1,,2": "--uid: '1,,2' is not a list",
            "set --gid nobody-of-this-name": "--gid: there is no 'nobody-of-this-name'",
            "set --uid 1 --except-uid nobody-of-this-name": "--except-uid: there is no",
            "set --uid 1 --family ipv5": "--family: 'ipv5'",
            "set --uid 1 --outbound-listener 0": "--outbound-listener: '0' is not a port",
            "set --uid 1 --inbound-listener 65536": "--inbound-listener: '65536' is not a port",
            "set --uid 1 --admin-port 1e3": "--admin-port: '1e3' is not a port",
            "set --uid 1 --dns-port 053": "--dns-port: '053' is not a port",
            "set --uid 1 --dns-port 15001": "two of the proxy's ports are the same: 15001",
            "set --uid 1 --outbound-ports http": "--outbound-ports: 'http' is not a port",
            "set --uid 1 --outbound-ports 90-80": "--outbound-ports: the range '90-80'",
            "set --uid 1 --outbound-ports 80-90-99": "'90-99' is not a port",
            "set --uid 1 --inbound-except-ports 80,": "--inbound-except-ports: '80,' is not a list",
            "set --no-outbound --hairpin": "--uid or --gid must say who the proxy is",
            "set --uid 1 --no-inbound --hairpin": "--hairpin contradicts --no-inbound",
            "set --uid 1 --no-outbound --outbound-ports 80": "contradicts --no-outbound",
            "set --uid 1 --no-inbound --inbound-networks 10.0.0.0/8": "contradicts --no-inbound",
        }
        for network, what in {
                "10.0.0/8": "is not an IPv4", "10.0.0.256": "is not an IPv4",
                "10.0.0.01": "is not an IPv4", "10.0.0.0/33": "up to 32",
                "10.0.0.0/": "up to 32", "10.0.0.0/8/8": "up to 32", "/8": "is not an IPv4",
                "10.0.0.1/8": "bits set beyond its prefix of 8",
                "10.0.0.128/24": "bits set beyond its prefix of 24",
                "example.com": "is not an IPv4",
                "fd00::/129": "up to 128", "fd00::1/64": "bits set beyond its prefix of 64",
                "fd00:0:0:1::/63": "bits set beyond its prefix of 63",
                "fd00": "is not an IPv4", "fd00:::1": "is not an IPv6", "::1::": "is not an IPv6",
                ":1::": "is not an IPv6", "1:2:3:4:5:6:7": "is not an IPv6",
                "1:2:3:4:5:6:7:8:9": "is not an IPv6", "1:2:3:4:5:6:7:8::": "is not an IPv6",
                "12345::": "is not an IPv6", "g::": "is not an IPv6",
                "::ffff:10.0.0.1": "is not an IPv6",
        }.items():
            mistakes[f"set --uid 1 --inbound-except-networks {network}"] = what
        for arguments, what in mistakes.items():
            with self.subTest(arguments):
                done = self._run(*arguments.split(), *["--dry-run"] * arguments.startswith("set "))
                self.assertIn(what, done.stderr)
                self.assertEqual((64, ""), (done.returncode, done.stdout))

    def test_nothing_of_an_argument_reaches_the_rules_unread(self):
        for text in ("1; delete table x", "1 }", "$(id)", "80\n90", "*"):
            for option in ("--uid", "--outbound-ports", "--outbound-networks", "--dns-port"):
                with self.subTest(option=option, text=text):
                    done = self._run("set", "--dry-run", "--gid", "1", option, text)
                    self.assertEqual((64, ""), (done.returncode, done.stdout))
        marker = os.path.join(tempfile.mkdtemp(), "ran")
        self.addCleanup(os.rmdir, os.path.dirname(marker))
        self.assertEqual(64, self._run("set", f"$(touch {marker})").returncode)
        self.assertFalse(os.path.exists(marker))

    def test_users_may_be_named(self):
        name = pwd.getpwuid(os.geteuid()).pw_name
        done = self._run("set", "--dry-run", "--uid", f"{name},1337")
        owners = sorted({os.geteuid(), 1337})
        self.assertIn(f"meta skuid {{ {owners[0]}, {owners[-1]} }} return", done.stdout)
        self.assertEqual(0, done.returncode, done.stderr)

    def test_a_proxy_that_is_root_draws_a_warning(self):
        self.assertIn("whatever root sends", self._run("set", "--dry-run", "--uid", "0").stderr)
        self.assertEqual("", self._run("set", "--dry-run", "--uid", "10").stderr)

    def test_help_is_for_everybody(self):
        for arguments in (["--help"], ["set", "--help"], ["remove", "-h"]):
            done = self._run(*arguments)
            self.assertEqual((0, ""), (done.returncode, done.stderr))
            self.assertIn("usage: deploy/redirect", done.stdout)


class Transactions(NamespaceCase):
    _everything = (
        *_SET, "--gid", "7", "--hairpin", "--except-uid", "8", "--dns-port", "15053",
        "--outbound-ports", "80,443,8000-9000,8500", "--outbound-except-ports", "22",
        "--outbound-networks", "10.0.0.0/8,10.1.0.0/16,fd00::/8",
        "--outbound-except-networks", "0.0.0.0/0,::/0",
        "--inbound-ports", "1-65535", "--inbound-except-ports", "9999",
        "--inbound-networks", "10.88.0.0/16,fd88::/16", "--inbound-except-networks", "10.99.0.1")

    def test_a_dry_run_prints_the_transaction_and_changes_nothing(self):
        for arguments in (_SET, self._everything, (*_SET, "--no-inbound", "--family", "ipv4")):
            with self.subTest(arguments):
                printed = self.web.redirect(*arguments, "--dry-run", user=APPLICATION).stdout
                self.assertEqual("", self.rules())
                self.web.run("nft", "-f", "-", input=printed)
                by_hand = self.rules()
                self.web.redirect("remove")
                self.web.redirect(*arguments)
                self.assertEqual(by_hand, self.rules())
                printed = self.web.redirect("remove", "--dry-run", user=APPLICATION).stdout
                self.assertEqual(by_hand, self.rules())
                self.web.run("nft", "-f", "-", input=printed)
                self.assertEqual("", self.rules())

    def test_setting_twice_is_setting_once(self):
        self.web.redirect(*self._everything)
        once = self.rules()
        self.web.redirect(*self._everything)
        self.assertEqual(once, self.rules())

    def test_a_second_set_replaces_the_first(self):
        self.web.redirect(*self._everything)
        self.web.redirect(*_SET)
        replaced = self.rules()
        self.web.redirect("remove")
        self.web.redirect(*_SET)
        self.assertEqual(self.rules(), replaced)

    def test_removing_leaves_nothing_and_touches_nothing_else(self):
        self.web.redirect("remove")
        self.assertEqual("", self.rules())
        self.web.run("nft", "-f", "-", input="""
            table inet mesh_redirect_of_another { chain output {
                type nat hook output priority -100
                tcp dport 4444 redirect to :5555
            }
            }
            table ip nat { chain OUTPUT {
                type nat hook output priority -100
                tcp dport 4445 redirect to :5555
            }
            }
            """)
        foreign = self.rules()
        self.web.redirect(*self._everything)
        self.web.redirect("remove")
        self.assertEqual(foreign, self.rules())
        self.web.redirect("remove")
        self.assertEqual(foreign, self.rules())

    def test_a_failed_transaction_leaves_the_rules_in_force(self):
        self.web.redirect(*_SET)
        before = self.rules()
        failing = self.web.redirect(
            *_SET, "--dry-run").stdout.replace("redirect to :15001", "jump nowhere")
        self.assertNotEqual(
            0, self.web.run("nft", "-f", "-", input=failing, check=False).returncode)
        self.assertEqual(before, self.rules())
        self.assertEqual(64, self.web.redirect(
            *_SET, "--outbound-ports", "x", check=False).returncode)
        self.assertEqual(before, self.rules())

    def test_status_shows_the_rules_and_how_often_each_was_used(self):
        status = self.web.redirect("status", check=False)
        self.assertEqual((1, "nothing is redirected\n"), (status.returncode, status.stdout))
        self.listeners(self.web, outbound=15001)
        self.web.redirect(*_SET)
        for _ in range(3):
            call(self.web, "10.77.0.1", 80)
        self.assertIn("packets 3", self.web.redirect("status").stdout)
        self.assertEqual(0, self.web.redirect("status").returncode)

    def test_without_root_only_a_dry_run_is_possible(self):
        for arguments in (_SET, ("remove",), ("status",)):
            done = self.web.redirect(*arguments, user=APPLICATION, check=False)
            self.assertEqual(1, done.returncode)
            self.assertIn("needs root", done.stderr)


class Outbound(NamespaceCase):
    def setUp(self):
        super().setUp()
        self.listeners(self.web, outbound=15001, app=8080)
        self.listeners(self.orders, http=80, https=443, database=5432)

    def test_every_connection_of_an_application_goes_to_the_proxy(self):
        self.web.redirect(*_SET)
        for address in (self.orders.ipv4, self.orders.ipv6, "240.0.0.1", "2001:db8::1"):
            for port in (1, 22, 80, 65535):
                with self.subTest(address=address, port=port):
                    self.assertEqual(("web.outbound", f"{address}:{port}"),
                                     call(self.web, address, port))

    def test_roots_connections_too(self):
        self.web.redirect(*_SET)
        self.assertEqual("web.outbound", call(self.web, self.orders.ipv4, 80, user=0)[0])

    def test_the_proxys_own_go_direct(self):
        for arguments in (_SET, ("set", "--gid", str(PROXY)),
                          ("set", "--uid", "1", "--gid", f"1,{PROXY}"),
                          ("set", "--uid", "1", "--except-uid", f"2,{PROXY}")):
            self.web.redirect(*arguments)
            with self.subTest(arguments):
                for address in (self.orders.ipv4, self.orders.ipv6):
                    self.assertEqual(("orders.http", None),
                                     call(self.web, address, 80, user=PROXY))
                    self.assertEqual("web.outbound", call(self.web, address, 80)[0])

    def test_connections_within_the_machine_are_left_alone(self):
        self.web.redirect(*_SET)
        for address in ("127.0.0.1", "127.0.0.53", "::1", self.web.ipv4, self.web.ipv6):
            for user in (APPLICATION, PROXY):
                with self.subTest(address=address, user=user):
                    self.assertEqual(("web.app", None), call(self.web, address, 8080, user=user))

    def test_the_proxy_can_be_called_by_its_port(self):
        self.web.redirect(*_SET)
        for address in ("127.0.0.1", "::1"):
            self.assertEqual(("web.outbound", None), call(self.web, address, 15001))

    def test_excepted_ports_and_networks_go_direct(self):
        self.web.redirect(*_SET, "--outbound-except-ports", "400-450,5432",
                          "--outbound-except-networks", "10.99.0.0/16,fd99::1")
        for address in (self.orders.ipv4, self.orders.ipv6):
            self.assertEqual("web.outbound", call(self.web, address, 80)[0])
            self.assertEqual("orders.https", call(self.web, address, 443)[0])
            self.assertEqual("orders.database", call(self.web, address, 5432)[0])
        for address in ("10.99.0.1", "fd99::1"):
            self.assertEqual("orders.http", call(self.web, address, 80)[0])

    def test_only_named_ports_and_networks_go_to_the_proxy(self):
        self.web.redirect(*_SET, "--outbound-ports", "80,443", "--outbound-except-ports", "443",
                          "--outbound-networks", "10.99.0.0/16,fd99::/16")
        for address in ("10.99.0.1", "fd99::1"):
            self.assertEqual("web.outbound", call(self.web, address, 80)[0])
            self.assertEqual("orders.https", call(self.web, address, 443)[0])
            self.assertEqual("orders.database", call(self.web, address, 5432)[0])
        for address in (self.orders.ipv4, self.orders.ipv6):
            self.assertEqual("orders.http", call(self.web, address, 80)[0])

    def test_networks_of_one_family_leave_the_other_alone(self):
        self.web.redirect(*_SET, "--outbound-networks", "10.0.0.0/8")
        self.assertEqual("web.outbound", call(self.web, self.orders.ipv4, 80)[0])
        self.assertEqual("orders.http", call(self.web, self.orders.ipv6, 80)[0])

    def test_a_family_can_be_left_out(self):
        for family, redirected, direct in (("ipv4", self.orders.ipv4, self.orders.ipv6),
                                           ("ipv6", self.orders.ipv6, self.orders.ipv4)):
            self.web.redirect(*_SET, "--family", family)
            with self.subTest(family):
                self.assertEqual("web.outbound", call(self.web, redirected, 80)[0])
                self.assertEqual("orders.http", call(self.web, direct, 80)[0])

    def test_a_direction_can_be_left_out(self):
        self.web.redirect(*_SET, "--no-outbound")
        self.assertEqual("orders.http", call(self.web, self.orders.ipv4, 80)[0])

    def test_other_listeners_can_be_named(self):
        self.listeners(self.web, other=4001)
        self.web.redirect(*_SET, "--outbound-listener", "4001")
        self.assertEqual(("web.other", "10.77.0.1:80"), call(self.web, "10.77.0.1", 80))

    def test_after_removal_everything_goes_direct(self):
        self.web.redirect(*_SET)
        self.web.redirect("remove")
        self.assertEqual(("orders.http", None), call(self.web, self.orders.ipv4, 80))

    def test_a_rule_of_another_at_the_same_place_decides_what_is_not_ours(self):
        self.web.run("nft", "-f", "-", input="""
            table ip nat { chain OUTPUT {
                type nat hook output priority -100
                tcp dport 80 redirect to :8080
            }
            }
            """)
        self.web.redirect(*_SET)
        self.assertEqual(("web.outbound", "10.77.0.1:80"), call(self.web, "10.77.0.1", 80))
        self.assertEqual("web.app", call(self.web, "10.77.0.1", 80, user=PROXY)[0])

    def test_connections_that_exist_when_the_rules_come_and_change_live_on(self):
        with Call(self.web, self.orders.ipv4, 80) as direct, \
                Call(self.web, self.orders.ipv6, 80) as direct_ipv6:
            self.web.redirect(*_SET)
            self.assertTrue(direct.says_back(b"after set"))
            self.assertTrue(direct_ipv6.says_back(b"after set"))
            with Call(self.web, self.orders.ipv4, 80) as redirected:
                self.assertEqual("web.outbound", redirected.who)
                self.web.redirect(*_SET, "--outbound-except-ports", "80")
                self.assertEqual("orders.http", call(self.web, self.orders.ipv4, 80)[0])
                self.assertTrue(redirected.says_back(b"after a change"))
            self.web.redirect("remove")
            self.assertTrue(direct.says_back(b"after remove"))


class Inbound(NamespaceCase):
    def setUp(self):
        super().setUp()
        self.listeners(self.orders, outbound=15001, inbound=15006, admin=15000, app=8080,
                       health=8081, database=5432)

    def test_every_connection_from_outside_goes_to_the_proxy(self):
        self.orders.redirect(*_SET)
        for address in (self.orders.ipv4, self.orders.ipv6, "10.99.0.1", "fd99::1"):
            for port in (1, 80, 8080, 5432, 65535):
                with self.subTest(address=address, port=port):
                    self.assertEqual(("orders.inbound", f"{address}:{port}"),
                                     call(self.web, address, port))

    def test_the_callers_address_is_kept(self):
        self.orders.redirect(*_SET)
        for address, caller in ((self.orders.ipv4, self.web.ipv4),
                                (self.orders.ipv6, self.web.ipv6)):
            with Call(self.web, address, 8080) as made:
                self.assertEqual(caller, made.peer)

    def test_the_proxys_own_ports_are_never_redirected(self):
        self.orders.redirect(*_SET)
        for address in (self.orders.ipv4, self.orders.ipv6):
            self.assertEqual(("orders.admin", None), call(self.web, address, 15000))
            self.assertEqual(("orders.inbound", None), call(self.web, address, 15006))

    def test_the_outbound_and_dns_ports_are_closed_to_others(self):
        listeners = self.listeners(self.orders, dns=15053)
        listeners.datagrams(self.orders, "dns", 15053, "0.0.0.0", "::")
        self.assertEqual("orders.dns", ask(self.web, self.orders.ipv4, 15053)[0])
        self.orders.redirect(*_SET, "--dns-port", "15053")
        for address in (self.orders.ipv4, self.orders.ipv6):
            with self.subTest(address):
                self.assertRefused(self.web, address, 15001)
                self.assertRefused(self.web, address, 15053)
                with self.assertRaises(ConnectionRefusedError):
                    ask(self.web, address, 15053)
        self.assertEqual("orders.outbound", call(self.orders, "127.0.0.1", 15001)[0])
        self.assertEqual("orders.dns", ask(self.orders, "127.0.0.1", 15053)[0])

    def test_excepted_ports_and_networks_reach_the_application(self):
        self.orders.redirect(*_SET, "--inbound-except-ports", "8081,5000-6000",
                             "--inbound-except-networks", f"{self.web.ipv4},fd99::/16")
        other = self.network.add("other")
        for address in (self.orders.ipv4, self.orders.ipv6):
            self.assertEqual("orders.inbound", call(other, address, 8080)[0])
            self.assertEqual("orders.health", call(other, address, 8081)[0])
            self.assertEqual("orders.database", call(other, address, 5432)[0])
        self.assertEqual("orders.app", call(self.web, self.orders.ipv4, 8080)[0])
        self.assertEqual("orders.inbound", call(self.web, self.orders.ipv6, 8080)[0])

    def test_only_named_ports_and_networks_go_to_the_proxy(self):
        self.orders.redirect(*_SET, "--inbound-ports", "8080",
                             "--inbound-networks", f"{self.web.ipv4},{self.web.ipv6}")
        other = self.network.add("other")
        for address in (self.orders.ipv4, self.orders.ipv6):
            self.assertEqual("orders.inbound", call(self.web, address, 8080)[0])
            self.assertEqual("orders.health", call(self.web, address, 8081)[0])
            self.assertEqual("orders.app", call(other, address, 8080)[0])

    def test_the_machines_own_connections_to_itself_are_left_alone(self):
        self.orders.redirect(*_SET)
        for address in ("127.0.0.1", "::1", self.orders.ipv4, self.orders.ipv6):
            for user in (APPLICATION, PROXY):
                self.assertEqual(("orders.app", None),
                                 call(self.orders, address, 8080, user=user))

    def test_a_hairpin_leads_the_proxys_calls_of_its_own_machine_to_itself(self):
        for arguments in (_SET, (*_SET, "--no-outbound"), ("set", "--gid", str(PROXY))):
            self.orders.redirect(*arguments, "--hairpin", "--inbound-except-ports", "8081")
            with self.subTest(arguments):
                for address in (self.orders.ipv4, self.orders.ipv6, "10.99.0.1"):
                    self.assertEqual(("orders.inbound", f"{address}:8080"),
                                     call(self.orders, address, 8080, user=PROXY))
                    self.assertEqual(("orders.health", None),
                                     call(self.orders, address, 8081, user=PROXY))
                    self.assertEqual(("orders.admin", None),
                                     call(self.orders, address, 15000, user=PROXY))
                    self.assertEqual(("orders.inbound", None),
                                     call(self.orders, address, 15006, user=PROXY))
                    self.assertEqual(("orders.app", None), call(self.orders, address, 8080))
                for address in ("127.0.0.1", "127.0.0.2", "::1"):
                    self.assertEqual(("orders.app", None),
                                     call(self.orders, address, 8080, user=PROXY))

    def test_a_hairpin_keeps_to_the_networks_of_inbound(self):
        self.orders.redirect(*_SET, "--hairpin", "--inbound-networks", self.orders.ipv4)
        self.assertEqual("orders.inbound",
                         call(self.orders, self.orders.ipv4, 8080, user=PROXY)[0])
        self.assertEqual("orders.app", call(self.orders, self.orders.ipv6, 8080, user=PROXY)[0])

    def test_a_direction_can_be_left_out(self):
        self.orders.redirect("set", "--uid", str(PROXY), "--no-inbound")
        self.assertEqual(("orders.app", None), call(self.web, self.orders.ipv4, 8080))

    def test_inbound_alone_needs_no_proxys_user(self):
        self.orders.redirect("set", "--no-outbound", "--inbound-listener", "15001")
        self.assertEqual("orders.outbound", call(self.web, self.orders.ipv4, 8080)[0])
        self.assertEqual("orders.admin", call(self.web, self.orders.ipv4, 15000)[0])

    def test_what_only_passes_through_is_left_alone(self):
        # web's way to 10.77.0.1 leads through orders to another machine, which has that address.
        other = self.network.add("other", "10.77.0.1")
        self.listeners(other, far=8080)
        self.orders.run("sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")
        self.orders.redirect(*_SET)
        self.web.run("ip", "route", "add", "10.77.0.1", "via", self.orders.ipv4)
        self.orders.run("ip", "route", "add", "10.77.0.1", "via", other.ipv4)
        self.assertEqual(("other.far", None), call(self.web, "10.77.0.1", 8080))


class DNS(NamespaceCase):
    def setUp(self):
        super().setUp()
        self.listeners(self.web, proxy=15053).datagrams(
            self.web, "proxy", 15053, "127.0.0.1", "::1")
        self.listeners(self.orders, server=53).datagrams(
            self.orders, "server", 53, self.orders.ipv4, self.orders.ipv6)
        self._redirect()

    def _redirect(self, *more):
        self.web.redirect(*_SET, "--dns-port", "15053", *more)

    def test_queries_to_any_server_go_to_the_proxy_and_seem_answered_by_it(self):
        for address in (self.orders.ipv4, self.orders.ipv6, "127.0.0.53", "::1", self.web.ipv4,
                        "240.0.0.1", "2001:db8::53"):
            with self.subTest(address):
                self.assertEqual("web.proxy", ask(self.web, address)[0])
                self.assertEqual("web.proxy", call(self.web, address, 53)[0])

    def test_the_proxys_own_queries_reach_the_server(self):
        for address in (self.orders.ipv4, self.orders.ipv6):
            self.assertEqual("orders.server", ask(self.web, address, user=PROXY)[0])
            self.assertEqual("orders.server", call(self.web, address, 53, user=PROXY)[0])

    def test_the_proxys_query_from_a_port_just_used_by_an_application_does_too(self):
        for address in (self.orders.ipv4, self.orders.ipv6):
            who, port = ask(self.web, address)
            self.assertEqual("web.proxy", who)
            self.assertEqual(("orders.server", port),
                             ask(self.web, address, user=PROXY, source_port=port))
            # And back again: neither remembers the other.
            self.assertEqual(("web.proxy", port), ask(self.web, address, source_port=port))

    def test_other_datagrams_are_left_alone(self):
        self.listeners(self.orders).datagrams(self.orders, "time", 123, self.orders.ipv4)
        self.assertEqual("orders.time", ask(self.web, self.orders.ipv4, 123)[0])

    def test_another_resolver_of_this_machine_can_be_excepted(self):
        self._redirect("--except-uid", "61003")
        self.assertEqual("orders.server", ask(self.web, self.orders.ipv4, user=61003)[0])
        self.assertEqual("web.proxy", ask(self.web, self.orders.ipv4)[0])

    def test_excepted_networks_and_ports_do_not_hide_a_server(self):
        self._redirect("--outbound-except-networks", "0.0.0.0/0", "--outbound-except-ports", "53")
        self.assertEqual("web.proxy", ask(self.web, self.orders.ipv4)[0])
        self.assertEqual("web.proxy", call(self.web, self.orders.ipv4, 53)[0])

    def test_without_a_dns_port_queries_go_direct(self):
        self.web.redirect(*_SET, "--outbound-except-ports", "53")
        self.assertEqual("orders.server", ask(self.web, self.orders.ipv4)[0])


class Cleanliness(unittest.TestCase):
    """The harness itself, since what it leaves behind would stay on the machine."""

    def setUp(self):
        if reason := unavailable():
            self.skipTest(reason)

    @staticmethod
    def _left():
        names = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True)
        files = os.listdir("/etc/netns") if os.path.isdir("/etc/netns") else []
        return {line.split()[0] for line in names.stdout.splitlines()}, set(files)

    def test_everything_is_removed_even_after_a_failure(self):
        before = self._left()
        with self.assertRaises(ZeroDivisionError), Network() as network:
            network.add("web").write("hosts", "127.0.0.1 localhost\n")
            self.assertNotEqual(before, self._left())
            raise ZeroDivisionError
        self.assertEqual(before, self._left())

    def test_what_a_killed_run_left_is_removed_by_the_next(self):
        killed = subprocess.Popen(["true"])
        killed.wait()
        name = f"mesh-e2e-{killed.pid}-0-web"
        subprocess.run(["ip", "netns", "add", name], check=True)
        with Network():
            self.assertNotIn(name, self._left()[0])

    def test_names_resolve_as_the_namespace_says(self):
        with Network() as network:
            web = network.add("web")
            web.write("hosts", "10.1.2.3 orders.test\n")
            self.assertTrue(web.run("getent", "hosts", "orders.test").stdout.startswith("10.1.2.3"))
            self.assertEqual(f"{APPLICATION}\n", web.run("id", "-u", user=APPLICATION).stdout)

    def test_a_thread_comes_back_from_where_it_was(self):
        def uids():
            with open("/proc/thread-self/status") as status:
                return next(line for line in status if line.startswith("Uid:"))

        home, user = os.readlink("/proc/thread-self/ns/net"), uids()
        with Network() as network:
            web = network.add("web")
            with web.entered():
                self.assertNotEqual(home, os.readlink("/proc/thread-self/ns/net"))
            web.socket("10.0.0.1", user=APPLICATION).close()
            self.assertEqual(home, os.readlink("/proc/thread-self/ns/net"))
        self.assertEqual(user, uids())
