"""Only processes with the certificate can connect to each other."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from ray._common.tls_utils import add_port_to_grpc_server
from ray._private.grpc_utils import init_grpc_channel

from deployments import certificates

SECONDS = 10


@pytest.fixture(autouse=True)
def ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    for name, value in certificates.environment(tmp_path).items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def port() -> Iterator[int]:
    """Run a gRPC server like Ray's, without methods."""
    server = grpc.server(ThreadPoolExecutor(1))
    found = add_port_to_grpc_server(server, "127.0.0.1:0")
    server.start()
    yield found
    server.stop(0)


def said(channel: grpc.Channel) -> grpc.StatusCode:
    with channel, pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary("/no/method")(b"", timeout=SECONDS)
    code: grpc.StatusCode = caught.value.code()
    return code


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_who_has_it_is_let_in(port: int, host: str) -> None:
    assert said(init_grpc_channel(f"{host}:{port}")) == grpc.StatusCode.UNIMPLEMENTED


def test_who_has_none_or_another_is_not(port: int, tmp_path: Path) -> None:
    server = Path(os.environ["RAY_TLS_CA_CERT"]).read_bytes()
    target = f"127.0.0.1:{port}"
    nobody = grpc.ssl_channel_credentials(server)
    assert said(grpc.insecure_channel(target)) == grpc.StatusCode.UNAVAILABLE
    assert said(grpc.secure_channel(target, nobody)) == grpc.StatusCode.UNAVAILABLE
    (tmp_path / "other").mkdir()
    other = certificates.environment(tmp_path / "other")
    key, chain = (
        Path(other[f"RAY_TLS_SERVER_{name}"]).read_bytes() for name in ("KEY", "CERT")
    )
    stranger = grpc.ssl_channel_credentials(server, key, chain)
    assert said(grpc.secure_channel(target, stranger)) == grpc.StatusCode.UNAVAILABLE
