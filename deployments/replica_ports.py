"""The ports at which Serve's replicas take requests from its proxies."""

from functools import partial
from ipaddress import ip_address
from typing import Any

import ray
from ray.serve._private import replica

# What Serve gives it is `[::]:0`, whatever the node's address.
_add_port = replica.add_port_to_grpc_server


def keep_from_network() -> None:
    """Have this replica listen on its node's address if that is of loopback.

    Serve has no option for it, and makes the port once the replica's constructor,
    which calls this, is done. Proxies connect to the node's address in any case.
    """
    address = ray.util.get_node_ip_address()
    if ip_address(address).is_loopback:
        replica.add_port_to_grpc_server = partial(_listen, address)


def _listen(address: str, server: Any, _: str) -> int:
    port: int = _add_port(server, f"{address}:0")
    return port
