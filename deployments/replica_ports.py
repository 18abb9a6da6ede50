"""The ports on which Serve's replicas accept requests from its proxies."""

from functools import partial
from ipaddress import ip_address
from typing import Any

import ray
from ray.serve._private import replica

# Serve passes it `[::]:0`, whatever the node's address.
_add_port = replica.add_port_to_grpc_server


def keep_from_network() -> None:
    """Have this replica listen on loopback only, if that is its node's address.

    Call it in the replica's constructor: Serve opens the port afterwards and has no
    option for its address. Proxies connect to the node's address in any case.
    """
    address = ray.util.get_node_ip_address()
    if ip_address(address).is_loopback:
        replica.add_port_to_grpc_server = partial(_listen, address)


def _listen(address: str, server: Any, _: str) -> int:
    port: int = _add_port(server, f"{address}:0")
    return port
