"""Replicas on a loopback node listen on loopback only, others on all addresses."""

from unittest.mock import Mock

import pytest
from ray.serve._private import replica

from deployments import replica_ports


@pytest.mark.parametrize(
    ("node", "listens"),
    [("127.0.0.1", "127.0.0.1:0"), ("10.1.2.3", "[::]:0")],
)
def test_replicas_listen_where_only_the_node_is_reached(
    node: str, listens: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_port = Mock(return_value=4321)
    monkeypatch.setattr(replica, "add_port_to_grpc_server", add_port)
    monkeypatch.setattr(replica_ports, "_add_port", add_port)
    monkeypatch.setattr(replica_ports.ray.util, "get_node_ip_address", lambda: node)
    replica_ports.keep_from_network()
    server = object()
    assert replica.add_port_to_grpc_server(server, "[::]:0") == 4321
    add_port.assert_called_once_with(server, listens)
