"""What can happen to an endpoint, and how it ends."""

from typing import Callable, NamedTuple


class Trouble(NamedTuple):
    """`begin` and `end` take the endpoint. `is_blind` says that the endpoint cannot tell what arrives
    meanwhile, `needs_machine` that it must be on a machine of its own, whose network is cut."""

    name: str
    begin: Callable
    end: Callable
    is_blind: bool = False
    needs_machine: bool = False


def _mode(name, mode):
    return Trouble(name, lambda endpoint: endpoint.mode(mode),
                   lambda endpoint: endpoint.mode("healthy"))


_DROP = """
table inet hole {
    chain input { type filter hook input priority 0
        policy drop
    }
}
"""


def _cut(endpoint):
    endpoint.machine.run("nft", "-f", "-", input=_DROP)


def _join(endpoint):
    endpoint.machine.run("nft", "delete", "table", "inet", "hole")


KILLED = Trouble("killed", lambda endpoint: endpoint.kill(), lambda endpoint: endpoint.launch(),
                 is_blind=True)
STOPPED = Trouble("stopped", lambda endpoint: endpoint.pause(), lambda endpoint: endpoint.resume(),
                  is_blind=True)
HOLE = Trouble("black hole", _cut, _join, is_blind=True, needs_machine=True)
ERRORS = _mode("errors", "errors")
SLOW = _mode("20 times slower", "slow")
DRIP = _mode("a byte a second", "drip")
SILENT = _mode("accepts and is silent", "silent")
RESETS = _mode("resets after a while", "resets")

ALL = (KILLED, STOPPED, HOLE, ERRORS, SLOW, DRIP, SILENT, RESETS)
