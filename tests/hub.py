"""A Hub of Hugging Face on loopback: the HTTP API that this repository uses.

Spaces are deployed to it, and datasets are stores of files.
"""

import base64
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha1, sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

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
class Repository:
    """The files of a repository, as they were committed.

    `large` are the SHA-256 of its large files, of which older commits have some too;
    `names` has a path of each.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    commits: int = 0
    committed_at: dict[str, str] = field(default_factory=dict)
    large: set[str] = field(default_factory=set)
    names: dict[str, str] = field(default_factory=dict)

    def replace(self, files: dict[str, bytes]) -> None:
        """Commit: `files` are all that there are now."""
        for path, content in files.items():
            if self.files.get(path) != content:
                self.committed_at[path] = _timestamp()
        self.files = files
        self.commits += 1


@dataclass
class Space(Repository):
    """A Space, and its settings."""

    sdk: str = "docker"
    secrets: dict[str, str] = field(default_factory=dict)


@dataclass
class Dataset(Repository):
    """A dataset, which is public unless it was made otherwise."""

    is_private: bool = False


@dataclass
class Fault:
    """What the Hub does instead of answering the requests for some path."""

    path: str
    act: "Callable[[_Handler], None]"
    times: int


class Reply(Exception):
    """The answer to a request: a status, an object or bytes, and headers."""

    def __init__(self, status: int, content: object, **headers: str) -> None:
        super().__init__(status, content)
        self.status = status
        self.content = content
        self.headers = {name.replace("_", "-"): text for name, text in headers.items()}


class Hub:
    """The repositories, every request that came in, and the faults to come.

    `tokens` may write to all repositories.
    """

    def __init__(self) -> None:
        self.spaces: dict[str, Space] = {}
        self.datasets: dict[str, Dataset] = {}
        self.tokens = {TOKEN}
        # Whether a part of a file can be had.
        self.has_ranges = True
        self.body_bytes = self.body_cuts = 0
        # How many files a page of a list has.
        self.page_size = 1000
        self.requests: list[Request] = []
        self.faults: list[Fault] = []
        self.stage = "BUILDING"
        # Whether Spaces can be read without a token.
        self.is_public = False
        self.url = ""
        self.is_closing = threading.Event()
        # Commits come one after the other.
        self.lock = threading.Lock()
        self._objects: dict[str, bytes] = {}

    def calls(self) -> list[tuple[str, str]]:
        """Return method and path of each request, in order."""
        return [(each.method, each.path) for each in self.requests]

    def request(self, end: str) -> Request:
        """Return the one request whose path ends so."""
        (found,) = [each for each in self.requests if each.path.endswith(end)]
        return found

    def refuse(
        self,
        path: str,
        status: int,
        message: str = "refused",
        times: int = 100,
        retry_after: str = "0",
    ) -> None:
        """Answer requests for paths that contain `path` with an error."""

        def act(handler: "_Handler") -> None:
            handler.reply(status, {"error": message}, {"Retry-After": retry_after})

        self.faults.append(Fault(path, act, times))

    def cut(self, path: str, times: int = 100) -> None:
        """Close the connection of requests for paths that contain `path`."""
        self.faults.append(Fault(path, lambda handler: handler.cut(), times))

    def cut_bodies_after(self, size_bytes: int, times: int) -> None:
        """Close the connections of the next large files after so many bytes."""
        self.body_bytes, self.body_cuts = size_bytes, times

    def hang(self, path: str) -> None:
        """Never answer requests for paths that contain `path`."""
        self.faults.append(Fault(path, lambda handler: handler.hang(), 100))

    def answer(self, request: Request) -> object:
        """Return the content of the answer; raise Reply for another status than 200."""
        path = urlsplit(request.path).path
        if path.startswith("/objects/"):
            # Signed URLs need no token.
            return self._object(path.rpartition("/")[2], request)
        self._check_token(request)
        if path == "/api/repos/create":
            return self._create(request.json)
        pattern = (
            r"/(?:api/)?(spaces|datasets)/([^/]+/[^/]+?)(?:\.git/info/lfs)?(?:/(.+))?"
        )
        found = re.fullmatch(pattern, path)
        kept: dict[str, Any] = {"spaces": self.spaces, "datasets": self.datasets}
        if found is None or found[2] not in kept[found[1]]:
            raise Reply(
                404, {"error": "Repository not found"}, X_Error_Code="RepoNotFound"
            )
        repository, action = kept[found[1]][found[2]], found[3] or "info"
        for name in ("resolve", "tree"):
            if action.startswith(f"{name}/main"):
                inside = unquote(action.removeprefix(f"{name}/main").removeprefix("/"))
                return getattr(self, f"_{name}")(repository, inside, request)
        do = getattr(self, "_" + action.replace("/", "_").replace("-", "_"))
        return do(repository, request)

    def _check_token(self, request: Request) -> None:
        bearer = request.headers.get("authorization")
        is_dataset = "/datasets/" in request.path
        is_public = self.is_public or is_dataset
        if bearer is None and is_public and request.method in ("GET", "HEAD"):
            return
        if (bearer or "").removeprefix("Bearer ") not in self.tokens:
            message = "Invalid credentials in Authorization header"
            headers = {"X_Error_Message": message} if is_dataset else {}
            raise Reply(401, {"error": "Invalid username or password."}, **headers)

    def _object(self, oid: str, request: Request) -> object:
        """Take a large file, or give it, like the Hub's CDN."""
        if request.method == "PUT":
            self._objects[oid] = request.body
            return {}
        assert "authorization" not in request.headers, "a token for somebody else"
        return self._ranged(self._objects[oid], request)

    def _ranged(self, content: bytes, request: Request) -> object:
        """Return what a request with a range of bytes is answered with."""
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", ""))
        tag = {"ETag": f'"{_id(content)}"'}
        if wanted is None or not self.has_ranges:
            raise Reply(200, content, **tag)
        size = len(content)
        start, stop = int(wanted[1]), min(size, int(wanted[2] or size) + 1)
        if start >= size:
            raise Reply(416, b"", Content_Range=f"bytes */{size}")
        where = f"bytes {start}-{stop - 1}/{size}"
        raise Reply(206, content[start:stop], Content_Range=where, **tag)

    def _create(self, asked: Any) -> object:
        name = f"{asked['organization']}/{asked['name']}"
        if asked.get("type") == "dataset":
            return self._create_dataset(name, asked)
        url = {"url": f"{self.url}/spaces/{name}"}
        if name in self.spaces:
            raise Reply(409, {**url, "error": "You already created this space repo"})
        readme = f"---\ntitle: {asked['name']}\nsdk: {asked['sdk']}\n---\n"
        self.spaces[name] = Space({"README.md": readme.encode()}, sdk=asked["sdk"])
        return url

    def _create_dataset(self, name: str, asked: Any) -> object:
        url = {"url": f"{self.url}/datasets/{name}"}
        if name in self.datasets:
            raise Reply(409, {**url, "error": "You already created this dataset repo"})
        is_private = asked.get("visibility") == "private"
        self.datasets[name] = Dataset(is_private=is_private)
        self.datasets[name].replace({".gitattributes": b"*.mp4 filter=lfs\n"})
        return url

    def _info(self, repository: Repository, request: Request) -> object:
        is_private = isinstance(repository, Dataset) and repository.is_private
        return {
            "id": "me/space",
            "sha": f"{repository.commits:040x}",
            "private": is_private,
        }

    _revision_main = _info

    def _preupload_main(self, space: Repository, request: Request) -> object:
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

    def _objects_batch(self, repository: Repository, request: Request) -> object:
        found = []
        for each in request.json["objects"]:
            entry = {"oid": each["oid"], "size": each["size"]}
            if each["oid"] not in repository.large:
                href = f"{self.url}/objects/{each['oid']}"
                entry["actions"] = {"upload": {"href": href}}
            found.append(entry)
        return {"transfer": "basic", "objects": found}

    def _commit_main(self, repository: Repository, request: Request) -> object:
        header, *operations = request.lines
        assert header["key"] == "header"
        assert header["value"]["summary"]
        files = dict(repository.files)
        for each in operations:
            self._apply(repository, files, each["key"], each["value"])
        repository.replace(files)
        url = f"{self.url}/spaces/me/space/commit/{repository.commits:040x}"
        return {"commitUrl": url, "commitOid": f"{repository.commits:040x}"}

    def _apply(
        self, repository: Repository, files: dict[str, bytes], key: str, value: Any
    ) -> None:
        path = value["path"]
        if key == "file":
            files[path] = base64.b64decode(value["content"])
        elif key == "lfsFile":
            content = self._objects[value["oid"]]
            assert sha256(content).hexdigest() == value["oid"]
            files[path] = content
            repository.large.add(value["oid"])
            repository.names[value["oid"]] = path
        else:
            assert key in ("deletedFile", "deletedFolder")
            is_file = key == "deletedFile"
            gone = [path] if is_file else [each for each in files if _in(each, path)]
            if not gone or gone[0] not in files:
                raise _no_entry("A file with this name doesn't exist")
            for each in gone:
                del files[each]

    def _paths_info_main(self, repository: Repository, request: Request) -> object:
        asked = parse_qs(request.body.decode())
        is_expanded = asked["expand"] == ["true"]
        found = []
        for path in asked["paths"]:
            if path in repository.files:
                found.append(_file(repository, path, is_expanded))
            elif any(_in(each, path) for each in repository.files):
                found.append({"type": "directory", "path": path, "oid": "0" * 40})
        return found

    def _tree(self, repository: Repository, folder: str, request: Request) -> object:
        """List a folder with all folders below it, page by page."""
        query = parse_qs(urlsplit(request.path).query)
        assert query["recursive"] == ["true"]
        found = sorted(
            path for path in repository.files if not folder or _in(path, folder)
        )
        if folder and not found:
            raise _no_entry(f"{folder} does not exist")
        start = int(query.get("cursor", ["0"])[0])
        stop = start + self.page_size
        is_expanded = query["expand"] == ["true"]
        page = [_file(repository, path, is_expanded) for path in found[start:stop]]
        if stop >= len(found):
            return page
        expand = str(is_expanded).lower()
        place = f"{self.url}{urlsplit(request.path).path}"
        link = f"<{place}?recursive=true&expand={expand}&cursor={stop}>"
        raise Reply(200, page, Link=f'{link}; rel="next"')

    def _resolve(self, repository: Repository, path: str, request: Request) -> object:
        """Give a small file, or send the client to the CDN of large ones."""
        content = repository.files.get(path)
        if content is None:
            raise _no_entry("Entry not found")
        if not _is_large(content[:512]):
            return self._ranged(content, request)
        # Another host name: tokens must not be sent there.
        port = urlsplit(self.url).port
        where = f"http://localhost:{port}/objects/{_id(content)}?signature=1"
        size = str(len(content))
        raise Reply(302, {}, Location=where, X_Linked_Size=size)

    def _lfs_files(self, repository: Repository, request: Request) -> object:
        return [
            {
                "fileOid": oid,
                "filename": repository.names[oid],
                "oid": oid,
                "pushedAt": "2026-11-20T12:00:00.000Z",
                "size": len(self._objects[oid]),
            }
            for oid in sorted(repository.large)
        ]

    def _lfs_files_batch(self, repository: Repository, request: Request) -> object:
        """Delete large files for ever, in the history too."""
        asked = request.json["deletions"]
        assert asked["rewriteHistory"] is True
        gone = set(asked["sha"])
        assert gone <= repository.large
        repository.large -= gone
        left = {
            path: content
            for path, content in repository.files.items()
            if _id(content) not in gone
        }
        repository.replace(left)
        return {}

    def _secrets(self, space: Space, request: Request) -> object:
        space.secrets[request.json["key"]] = request.json["value"]
        return {}

    def _runtime(self, space: Space, request: Request) -> object:
        return {"stage": self.stage, "hardware": {"current": None}}


def _file(repository: Repository, path: str, is_expanded: bool) -> dict[str, Any]:
    content = repository.files[path]
    found: dict[str, Any] = {
        "type": "file",
        "path": path,
        "size": len(content),
        "oid": _git_id(content),
    }
    if _is_large(content[:512]):
        oid = sha256(content).hexdigest()
        found["lfs"] = {"oid": oid, "size": len(content), "pointerSize": 134}
    if is_expanded:
        date = repository.committed_at[path]
        found["lastCommit"] = {"id": "0" * 40, "title": "Add", "date": date}
    return found


def _in(path: str, folder: str) -> bool:
    return path.startswith(f"{folder.removesuffix('/')}/")


def _no_entry(message: str) -> Reply:
    return Reply(404, {"error": message}, X_Error_Code="EntryNotFound")


def _timestamp() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


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
    return _git_id(content)


def _git_id(content: bytes) -> str:
    whole = b"blob %d\0" % len(content) + content
    return sha1(whole, usedforsecurity=False).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def handle(self) -> None:
        # Clients close their connections as they like.
        with suppress(ConnectionError):
            super().handle()

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
            with self.hub.lock:
                content = self.hub.answer(request)
            self.reply(200, content)
        except Reply as reply:
            self.reply(reply.status, reply.content, reply.headers)

    do_GET = do_HEAD = do_POST = do_PUT = _do

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
        is_data = isinstance(content, bytes)
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        media_type = "application/octet-stream" if is_data else "application/json"
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(data)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if is_data and self.hub.body_cuts and len(data) > self.hub.body_bytes:
            self.hub.body_cuts -= 1
            data = data[: self.hub.body_bytes]
            self.close_connection = True
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
    """Run a Hub without repositories."""
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
