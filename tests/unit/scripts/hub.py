"""A Hub of Hugging Face on loopback: the HTTP API that a deployment uses."""

import base64
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha1, sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "hf_" + "SecretOfTheTests" * 2


@dataclass(frozen=True)
class Request:
    """A request that the Hub received."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def lines(self) -> list[Any]:
        """The objects of a body of JSON lines."""
        return [json.loads(line) for line in self.body.splitlines()]


@dataclass
class Space:
    """A Space: its files, as they were committed, and its settings."""

    sdk: str
    files: dict[str, bytes] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    commits: int = 0


@dataclass
class Fault:
    """What the Hub does instead of answering the requests for some path."""

    path: str
    act: "Callable[[_Handler], None]"
    times: int


class Reply(Exception):
    """The answer to a request: a status and an object."""

    def __init__(self, status: int, content: object) -> None:
        super().__init__(status, content)
        self.status = status
        self.content = content


class Hub:
    """The Spaces, every request that came in, and the faults to come."""

    def __init__(self) -> None:
        self.spaces: dict[str, Space] = {}
        self.requests: list[Request] = []
        self.faults: list[Fault] = []
        self.stage = "BUILDING"
        # Whether Spaces can be read without a token.
        self.is_public = False
        self.url = ""
        self.is_closing = threading.Event()
        self._objects: dict[str, bytes] = {}

    def calls(self) -> list[tuple[str, str]]:
        """Return method and path of each request, in order."""
        return [(each.method, each.path) for each in self.requests]

    def request(self, end: str) -> Request:
        """Return the one request whose path ends so."""
        (found,) = [each for each in self.requests if each.path.endswith(end)]
        return found

    def refuse(
        self, path: str, status: int, message: str = "refused", times: int = 100
    ) -> None:
        """Answer requests for paths that contain `path` with an error."""

        def act(handler: "_Handler") -> None:
            handler.reply(status, {"error": message}, {"Retry-After": "0"})

        self.faults.append(Fault(path, act, times))

    def cut(self, path: str, times: int = 100) -> None:
        """Close the connection of requests for paths that contain `path`."""
        self.faults.append(Fault(path, lambda handler: handler.cut(), times))

    def hang(self, path: str) -> None:
        """Never answer requests for paths that contain `path`."""
        self.faults.append(Fault(path, lambda handler: handler.hang(), 100))

    def answer(self, request: Request) -> object:
        """Return the content of the answer; raise Reply for another status than 200."""
        if request.path.startswith("/objects/"):
            # Signed URLs need no token.
            self._objects[request.path.rpartition("/")[2]] = request.body
            return {}
        bearer = request.headers.get("authorization")
        is_readable = self.is_public and request.method == "GET" and bearer is None
        if bearer != f"Bearer {TOKEN}" and not is_readable:
            raise Reply(401, {"error": "Invalid username or password."})
        if request.path == "/api/repos/create":
            return self._create(request.json)
        pattern = r"/(?:api/)?spaces/([^/]+/[^/]+?)(?:\.git/info/lfs)?(?:/(.+))?"
        found = re.fullmatch(pattern, request.path)
        if found is None or found[1] not in self.spaces:
            raise Reply(404, {"error": "Repository not found"})
        space, action = self.spaces[found[1]], found[2] or "info"
        return getattr(self, "_" + action.replace("/", "_"))(space, request)

    def _create(self, asked: Any) -> object:
        name = f"{asked['organization']}/{asked['name']}"
        url = {"url": f"{self.url}/spaces/{name}"}
        if name in self.spaces:
            raise Reply(409, {**url, "error": "You already created this space repo"})
        readme = f"---\ntitle: {asked['name']}\nsdk: {asked['sdk']}\n---\n"
        self.spaces[name] = Space(asked["sdk"], {"README.md": readme.encode()})
        return url

    def _info(self, space: Space, request: Request) -> object:
        return {"id": "me/space", "sha": f"{space.commits:040x}"}

    _revision_main = _info

    def _preupload_main(self, space: Space, request: Request) -> object:
        return {
            "files": [
                {
                    "path": each["path"],
                    "uploadMode": "lfs" if _is_large(_sample(each)) else "regular",
                    "shouldIgnore": False,
                    "oid": _id(space.files.get(each["path"])),
                }
                for each in request.json["files"]
            ]
        }

    def _objects_batch(self, space: Space, request: Request) -> object:
        return {
            "transfer": "basic",
            "objects": [
                {
                    "oid": each["oid"],
                    "size": each["size"],
                    "actions": {
                        "upload": {"href": f"{self.url}/objects/{each['oid']}"}
                    },
                }
                for each in request.json["objects"]
            ],
        }

    def _commit_main(self, space: Space, request: Request) -> object:
        header, *operations = request.lines
        assert header["key"] == "header"
        assert header["value"]["summary"]
        files = {}
        for each in operations:
            value = each["value"]
            if each["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            else:
                assert each["key"] == "lfsFile"
                content = self._objects[value["oid"]]
                assert sha256(content).hexdigest() == value["oid"]
                files[value["path"]] = content
        space.files |= files
        space.commits += 1
        url = f"{self.url}/spaces/me/space/commit/{space.commits:040x}"
        return {"commitUrl": url, "commitOid": f"{space.commits:040x}"}

    def _secrets(self, space: Space, request: Request) -> object:
        space.secrets[request.json["key"]] = request.json["value"]
        return {}

    def _runtime(self, space: Space, request: Request) -> object:
        return {"stage": self.stage, "hardware": {"current": None}}


def _sample(file: Any) -> bytes:
    return base64.b64decode(file["sample"])


def _is_large(sample: bytes) -> bool:
    """Whether a file goes to the storage of large files, as all binary ones do."""
    return b"\0" in sample


def _id(content: bytes | None) -> str | None:
    """Return the id of a stored file; for a small one it is that of git."""
    if content is None:
        return None
    if _is_large(content[:512]):
        return sha256(content).hexdigest()
    whole = b"blob %d\0" % len(content) + content
    return sha1(whole, usedforsecurity=False).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def _do(self) -> None:
        body = self._body()
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, self.path, headers, body)
        self.hub.requests.append(request)
        for fault in self.hub.faults:
            if fault.path in self.path and fault.times > 0:
                fault.times -= 1
                fault.act(self)
                return
        try:
            self.reply(200, self.hub.answer(request))
        except Reply as reply:
            self.reply(reply.status, reply.content)

    do_GET = do_POST = do_PUT = _do

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        chunks = []
        while size := int(self.rfile.readline(), 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def reply(
        self, status: int, content: object, headers: dict[str, str] | None = None
    ) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def cut(self) -> None:
        self.close_connection = True

    def hang(self) -> None:
        self.hub.is_closing.wait(30)
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""


@contextmanager
def running() -> Iterator[Hub]:
    """Run a Hub without Spaces."""
    hub = Hub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        hub.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield hub
        hub.is_closing.set()
        server.shutdown()
        thread.join()
