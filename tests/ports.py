"""Ports for the servers that tests start."""

import random
import socket
from contextlib import ExitStack

# Below those that Linux hands out by itself (`ip_local_port_range`): a connection of
# any process could take one of them before the server that it was chosen for.
_FIRST, _LAST = 20_000, 32_000


def free_port() -> int:
    """Return a port of loopback on which nothing listens."""
    return free_ports(1)[0]


def free_ports(count: int) -> range:
    """Return `count` ports of loopback in a row on which nothing listens."""
    while True:
        start = random.SystemRandom().randrange(_FIRST, _LAST - count)
        ports = range(start, start + count)
        if _are_free(ports):
            return ports


def _are_free(ports: range) -> bool:
    with ExitStack() as stack:
        try:
            for port in ports:
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
