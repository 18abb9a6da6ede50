"""The table of all routes: what each requires, and its status for each caller.

    python -m tests.unit.access.route_table

writes it to `routes.txt`. Do so when a route or its rule has changed, and check that
the difference is what you meant. `test_routes.py` compares the file with the
application.
"""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from serve_app.api.route_rules import Need, RouteRule
from serve_app.database import Database
from tests import media
from tests.unit.access.gate import Gate, guarded
from tests.unit.pools import DirectUploads, StoredReports
from tests.unit.server import Server, running

TABLE = Path(__file__).parent / "routes.txt"
CALLERS = ("none", "other", "expired", "scope", "right")
HEADING = f"""\
# The status of each route, with access required, by the credentials of the request:
# none; the key of another tenant, which may do all but manage keys; an expired key; one
# without the scope; and one of the job's tenant that has only the scope. Write it with
# `python -m tests.unit.access.route_table`.
# {"method":6} {"path":50} {"requires":12} {" ".join(CALLERS)}
"""

STEMS = {name: name.encode() for name in ("drums", "bass", "other", "vocals")}
_NEW_KEY = {"name": "app"}
_NEW_UPLOAD = {"filename": "song.wav", "size_bytes": 1_000}
_NEW_MIX = {"gains": {"drums": 0.5}}
_JSON: Mapping[tuple[str, str], Mapping[str, Any]] = {
    ("POST", "/keys"): _NEW_KEY,
    ("POST", "/job/{job_id}/mix"): _NEW_MIX,
    ("POST", "/links"): {"paths": ["/jobs"]},
    ("POST", "/uploads"): _NEW_UPLOAD,
}
# What a path needs to be found: a query, and the file below the documentation's.
_MORE = {"/job/{job_id}/export": "?format=cue", "/docs/assets": "/docs.css"}
# Their `job_id` is that of an analysis.
_OF_ANALYSES = "/analyze/"
_WITH_SONG = ("/separate", "/analyze")
_SEPARATE_FIELDS = {"webhook_url": "https://example.com/hook"}


@dataclass(frozen=True)
class Call:
    """A route, by its method and its path."""

    method: str
    path: str

    @property
    def names(self) -> bool:
        """Whether its path names something."""
        return "{" in self.path


@dataclass(frozen=True)
class Scene:
    """A server with two tenants, and the names of all that one of them has."""

    gate: Gate
    song: bytes
    names: Mapping[str, str]
    analysis_id: str

    async def answer(
        self, call: Call, headers: Mapping[str, str], unknown: bool = False
    ) -> httpx.Response:
        """Send a valid request to a route, about what there is, or is not."""
        names = dict(self.names)
        if call.path.startswith(_OF_ANALYSES):
            names["job_id"] = self.analysis_id
        if unknown:
            names |= {name: uuid4().hex for name in names if name.endswith("_id")}
        has_song = call.method == "POST" and call.path in _WITH_SONG
        request = self.gate.client.request(
            call.method,
            call.path.format(**names) + _MORE.get(call.path, ""),
            json=_JSON.get((call.method, call.path)),
            files={"file": ("song.wav", self.song)} if has_song else None,
            headers=headers,
        )
        # A stream of what is another's would have no end here.
        return await asyncio.wait_for(request, 10)

    def rule(self, call: Call) -> RouteRule:
        """Return the rule of a route."""
        target = call.path.format(**self.names) + _MORE.get(call.path, "")
        path = target.partition("?")[0]
        rule = self.gate.app.state.rules.of(
            {"type": "http", "method": call.method, "path": path}
        )
        assert isinstance(rule, RouteRule), call
        return rule

    def credentials(self, call: Call) -> Mapping[str, Mapping[str, str]]:
        """Return the headers of each caller of a route."""
        required = self.rule(call).scope(call.method)
        lacking = "stems:read" if required.endswith(":write") else "stems:write"
        right = [required] if required else []
        _, expired = self.gate.key(*right, seconds=-1)
        return {
            "none": {},
            "other": self.gate.key(tenant="globex")[1],
            "expired": expired,
            "scope": self.gate.key(lacking)[1],
            "right": self.gate.key(*right)[1],
        }


def calls(app: FastAPI) -> list[Call]:
    """Return all routes of an application, by path."""
    found = {
        Call(method, str(route.path))
        for route in iter_route_contexts(app.routes)
        for method in route.methods or ("GET",)
    }
    return sorted(found, key=lambda call: (call.path, call.method))


def required(rule: RouteRule, method: str) -> str:
    """Return in a word what a route requires."""
    return rule.scope(method) or {Need.NOTHING: "-"}.get(rule.need, str(rule.need))


def expected(rule: RouteRule, call: Call, right: int) -> tuple[int, ...]:
    """Return the statuses that follow from a route's rule and its right status."""
    match rule.need:
        case Need.SCOPE:
            return (401, 404 if call.names else right, 401, 403, right)
        case Need.CREDENTIALS:
            return (401, right, 401, right, right)
        case Need.ADMIN | Need.OPERATOR:
            return (401, 403, 401, 403, right)
        case _:
            return (right,) * len(CALLERS)


def line(rule: RouteRule, call: Call, statuses: tuple[int, ...]) -> str:
    """Return a route's line of the table."""
    shown = " ".join(
        f"{status:<{len(caller)}}"
        for status, caller in zip(statuses, CALLERS, strict=True)
    )
    need = required(rule, call.method)
    return f"{call.method:8} {call.path:50} {need:12} {shown}".rstrip()


async def statuses_of(scene: Scene, call: Call) -> tuple[int, ...]:
    """Return the status of a route for each caller."""
    found = []
    for headers in scene.credentials(call).values():
        found.append((await scene.answer(call, headers)).status_code)
    return tuple(found)


@asynccontextmanager
async def set_up(server: Server, song: bytes) -> AsyncIterator[Scene]:
    """Yield a server on which a tenant has one of everything."""
    uploads = DirectUploads()
    server.stems = replace(
        server.stems,
        analyses=StoredReports(server.storage, server.files_dir.parent),
        arrivals=replace(server.stems.arrivals, uploads=uploads),
    )
    async with guarded(server) as gate:
        _, owner = gate.key(tenant="acme")
        files = {"file": ("secret.wav", song)}
        made = await gate.client.post(
            "/separate", files=files, data=_SEPARATE_FIELDS, headers=owner
        )
        job = server.succeed(STEMS)
        assert made.json()["job_id"] == job.id
        made = await gate.client.post("/analyze?async=true", files=files, headers=owner)
        begun = await gate.client.post("/uploads", json=_NEW_UPLOAD, headers=owner)
        mixed = await gate.client.post(
            f"/job/{job.id}/mix", json=_NEW_MIX, headers=owner
        )
        mix_path = urlsplit(mixed.json()["download_url"]).path
        names = {
            "job_id": job.id,
            "mix_id": mix_path.rpartition("/")[2],
            "stem_name": "drums",
            "delivery_id": server.outbox.of_job(job.id)[0].id,
            "upload_id": begun.json()["upload_id"],
            "key_id": gate.key(tenant="acme")[0].id,
        }
        yield Scene(gate, song, names, made.json()["job_id"])


@asynccontextmanager
async def _server(empty: Path) -> AsyncIterator[Server]:
    """Run a server with a copy of an empty database, which is made once."""
    with tempfile.TemporaryDirectory() as place:
        path = shutil.copy(empty, Path(place) / "jobs.sqlite3")
        with Database(f"sqlite:///{path}") as database:
            async with running(Path(place), database) as server:
                yield server


async def lines(directory: Path) -> list[str]:
    """Return the lines of the table; uses `directory`."""
    media.write_song(directory / "song.wav", "wav16", seconds=1.0)
    song, empty = (directory / "song.wav").read_bytes(), directory / "empty.sqlite3"
    Database(f"sqlite:///{empty}").close()
    async with _server(empty) as server, guarded(server) as gate:
        found = calls(gate.app)
    made = []
    for call in found:
        async with _server(empty) as server, set_up(server, song) as scene:
            statuses = await statuses_of(scene, call)
            made.append(line(scene.rule(call), call, statuses))
    return made


def main() -> None:
    """Write the table."""
    with tempfile.TemporaryDirectory() as place:
        made = asyncio.run(lines(Path(place)))
    TABLE.write_text(HEADING + "\n".join(made) + "\n")


if __name__ == "__main__":
    main()
