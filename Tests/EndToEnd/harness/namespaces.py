"""Networks of namespaces: machines of their own, as far as addresses and rules are concerned.

Everything lives in namespaces made here, the bridge between them too; the machine's own network is
never touched. Names carry our process id, so that parallel runs do not meet and what a killed run
left behind is found and removed.
"""

import atexit
import contextlib
import ctypes
import functools
import itertools
import os
import re
import shutil
import socket
import subprocess
import threading

_libc = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET = 0x40000000
_PREFIX = "mesh-e2e"
_serial = itertools.count()
_REDIRECT = os.path.join(
    os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "deploy", "redirect")

#: Whom the proxy and the applications run as: numbers that need no account.
PROXY, APPLICATION = 61001, 61002


@functools.cache
def unavailable():
    """Why this machine can have no namespaces with redirection, or None."""
    if os.geteuid() != 0:
        return "needs root"
    missing = [program for program in ("ip", "nft", "setpriv") if not shutil.which(program)]
    if missing:
        return f"needs {', '.join(missing)} (packages iproute2, nftables, util-linux)"
    try:
        with Network() as network:
            # Not by our script: where that is broken, tests are to fail.
            network.add("try").run("nft", "-f", "-", input="""
                table inet try { chain output {
                    type nat hook output priority -100
                    tcp dport 80 redirect to :8080
                }
                }
                """)
    except (AssertionError, OSError) as error:
        return f"no network namespaces with address translation here: {error}"
    return None


def _run(arguments, **options):
    done = subprocess.run(arguments, capture_output=True, text=True, **options)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


class Network:
    """Namespaces on one bridge, each with an IPv4 and an IPv6 address of its own.

    10.0.0.0/8 and fd00::/8 are on the link; everything else goes to a router that knows no way.
    """

    def __init__(self):
        _remove_leftovers()
        self._name = f"{_PREFIX}-{os.getpid()}-{next(_serial)}"
        self._switch = f"{self._name}-switch"
        self._namespaces = []
        self._count = 0
        atexit.register(self.remove)
        _run(["ip", "netns", "add", self._switch])
        self.ip(self._switch, "link add bridge type bridge", "link set bridge up",
                "address add 10.88.0.254/8 dev bridge", "address add fd88::fe/8 dev bridge nodad")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.remove()

    @staticmethod
    def ip(namespace, *commands):
        """Runs lines of `ip` in a namespace."""
        _run(["ip", "-n", namespace, "-batch", "-"], input="\n".join(commands) + "\n")

    def add(self, name, *more_addresses):
        """A namespace; `more_addresses` are its besides 10.88.0.N and fd88::N."""
        self._count += 1
        number, full = self._count, f"{self._name}-{name}"
        namespace = Namespace(self, name, full, f"10.88.0.{number}", f"fd88::{number:x}")
        self._namespaces.append(namespace)
        _run(["ip", "netns", "add", full])
        self.ip(full, "link set lo up",
                f"link add ethernet type veth peer name port{number} netns {self._switch}")
        self.ip(self._switch, f"link set port{number} master bridge up")
        self.ip(full, "link set ethernet up",
                f"address add {namespace.ipv4}/8 dev ethernet",
                f"address add {namespace.ipv6}/8 dev ethernet nodad",
                *(f"address add {address}/{128 if ':' in address else 32} dev ethernet"
                  + (" nodad" if ":" in address else "") for address in more_addresses),
                "route add default via 10.88.0.254",
                "route add default via fd88::fe")
        return namespace

    def remove(self):
        """Removes everything, whatever state it is in; may be called again."""
        atexit.unregister(self.remove)
        for name in [*(namespace.full_name for namespace in self._namespaces), self._switch]:
            _remove(name)
        self._namespaces.clear()


def _remove(name):
    subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)
    shutil.rmtree(f"/etc/netns/{name}", ignore_errors=True)


def _remove_leftovers():
    for directory in ("/run/netns", "/etc/netns"):
        with contextlib.suppress(FileNotFoundError):
            for name in os.listdir(directory):
                match = re.match(rf"{_PREFIX}-(\d+)-", name)
                if match and not os.path.exists(f"/proc/{match[1]}"):
                    _remove(name)


class Namespace:
    """One machine: its addresses, its processes, its rules."""

    def __init__(self, network, name, full_name, ipv4, ipv6):
        self.network, self.name, self.full_name = network, name, full_name
        self.ipv4, self.ipv6 = ipv4, ipv6

    def write(self, file, text):
        """Gives processes that start here from now on their own /etc/FILE: hosts, resolv.conf."""
        directory = f"/etc/netns/{self.full_name}"
        os.makedirs(directory, exist_ok=True)
        with open(os.path.join(directory, file), "w") as stream:
            stream.write(text)

    def wrapper(self, user=None):
        """What to put before a command line so that it runs here, as this user.

        Without an account the user may own nothing on this machine; reading what root can read is
        left to it, for the binaries and the tests' files.
        """
        words = ["ip", "netns", "exec", self.full_name]
        if user is not None:
            words += ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups",
                      "--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search",
                      "--pdeathsig=KILL"]  # a change of user takes away the caller's own
        return words

    def run(self, *command, user=None, check=True, timeout=20, **options):
        """Runs a command to its end; its CompletedProcess with text."""
        done = subprocess.run([*self.wrapper(user), *command], capture_output=True, text=True,
                              timeout=timeout, **options)
        if check and done.returncode != 0:
            raise AssertionError(
                f"{self.name}: {' '.join(command)} exits with {done.returncode}:\n{done.stderr}")
        return done

    def redirect(self, *arguments, **options):
        """Runs deploy/redirect here."""
        return self.run(_REDIRECT, *arguments, **options)

    @contextlib.contextmanager
    def entered(self):
        """Moves the calling thread here: sockets it makes, and threads and processes it starts,
        belong to this namespace for good."""
        with open(f"/proc/self/task/{threading.get_native_id()}/ns/net") as home, \
                open(f"/run/netns/{self.full_name}") as here:
            _enter(here)
            try:
                yield self
            finally:
                _enter(home)

    def socket(self, address, kind=socket.SOCK_STREAM, user=None):
        """A socket here for this address, not yet connected, that belongs to the user."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with self.entered():
            # Of this thread alone: glibc passes on what setuid changes to all others, but not this.
            _libc.setfsgid(os.getegid() if user is None else user)
            _libc.setfsuid(os.geteuid() if user is None else user)
            try:
                made = socket.socket(family, kind)
            finally:
                _libc.setfsuid(os.geteuid())
                _libc.setfsgid(os.getegid())
        made.settimeout(5)
        return made

    def connect(self, address, port, user=APPLICATION):
        """A connection from here."""
        connecting = self.socket(address, user=user)
        try:
            connecting.connect((address, port))
        except BaseException:
            connecting.close()
            raise
        return connecting


def _enter(namespace):
    if _libc.setns(namespace.fileno(), _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
