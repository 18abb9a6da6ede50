"""A server of one's own: the real application over a real store and real files."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, Never, TypeVar

import httpx
from fastapi import FastAPI
from starlette.types import Message, Receive, Scope

from serve_app.api.app import create_app
from serve_app.api.door import OpenDoor
from serve_app.api.services import Services
from serve_app.audio import formats
from serve_app.audio.limits import AudioLimits
from serve_app.audio.measure import measure
from serve_app.audio.wave import WavForm
from serve_app.database import Database
from serve_app.errors import AppError, UnreachableUrl
from serve_app.idempotency.store import StoredResponses
from serve_app.jobs.job import Claim
from serve_app.jobs.owners import Owners
from serve_app.jobs.store import JobStore
from serve_app.outbound.urls import UrlRules, checked
from serve_app.stems.analysis_jobs.kind import song_analysis
from serve_app.stems.analysis_jobs.request import (
    AnalysisJob,
    AnalysisRequest,
    AnalysisResult,
)
from serve_app.stems.http.part import part as stems_part
from serve_app.stems.http.services import (
    Arrivals,
    Limits,
    ModelInfo,
    Models,
    StemsServices,
)
from serve_app.stems.kind import separation
from serve_app.stems.reports import Request
from serve_app.stems.request import Result, SeparationJob, StemFile
from serve_app.stems.reuse import Reuse
from serve_app.storage.local import LocalStorage
from serve_app.webhooks.http.part import part as webhooks_part
from serve_app.webhooks.http.services import WebhookServices
from serve_app.webhooks.outbox import Outbox
from tests.jobs import SongStore

AnalysisStore = JobStore[AnalysisRequest, AnalysisResult]
S = TypeVar("S", Services, StemsServices, Arrivals, WebhookServices)

INFOS = (
    ModelInfo(
        "demo",
        ("drums", "bass", "other", "vocals"),
        44_100,
        "synthetic music",
        "MIT",
        "Small, for trying the system out.",
    ),
    ModelInfo("duo", ("low", "high"), 44_100, "nothing", "MIT", "Has no vocals."),
)
MODELS = Models(INFOS, "demo")
LIMITS = Limits(max_upload_bytes=2_000_000, max_queued_jobs=3, retention_seconds=1800.0)
AUDIO_LIMITS = AudioLimits(max_duration_seconds=600.0)
ORIGIN = "https://console.example"


class Clock:
    """A clock that stands still unless it is moved."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 20, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        """Return the time."""
        return self.now

    def move(self, seconds: float) -> None:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)


@dataclass
class Pools:
    """Stands in for the pools: answers what it is told to, or raises it."""

    analysis: Mapping[str, Any] | AppError = field(
        default_factory=lambda: {"bpm": 124.0, "key": "C# minor", "camelot": "12A"}
    )
    report: Mapping[str, Any] | Exception = field(
        default_factory=lambda: {"ready": True, "model": "demo", "device": "cpu"}
    )
    analyzed: list[str] = field(default_factory=list)
    woken: int = 0
    woken_kinds: list[str] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)
    heard: list["Heard"] = field(default_factory=list)

    async def analyze_song(self, request: Request) -> Mapping[str, Any]:
        """Answer as the Analyzer would."""
        self.analyzed.append(request.key)
        if isinstance(self.analysis, AppError):
            raise self.analysis
        return self.analysis

    async def _not_asked(self, *request: object) -> Never:
        """Stand in for what only tests of its own ask for."""
        raise AssertionError(request)

    analyze_stem = exact_peaks = export = mix = _not_asked

    def fetch(self, url: str, path: Path, is_wanted: Callable[[], bool]) -> str:
        """Find nothing anywhere."""
        raise UnreachableUrl(f"There is nothing at {url}.")

    def wake(self, kind: str) -> None:
        """Count how often a dispatcher would have been woken."""
        self.woken += 1
        self.woken_kinds.append(kind)

    def stop(self, kind: str, job_id: str) -> None:
        """Take note of a job that a dispatcher would have stopped."""
        self.stopped.append(job_id)

    def follow(self, job: SeparationJob, stem: str, form: WavForm) -> "Heard":
        """Return a stem under way; as floats it is loud."""
        self.heard.append(Heard(stem.upper() if form.is_float else stem))
        return self.heard[-1]

    async def health(self) -> Mapping[str, Any]:
        """Answer as the pools would."""
        if isinstance(self.report, Exception):
            raise self.report
        return self.report


class Heard:
    """Stands in for a stem under way: three chunks, the second one not there yet."""

    def __init__(self, stem: str) -> None:
        self._stem = stem
        self._asked = 0
        self.is_stopped = False

    def is_ready(self) -> bool:
        """Be ready each second time that is asked."""
        self._asked += 1
        return self._asked % 2 == 0

    @property
    def size_bytes(self) -> int:
        """Return the size of all chunks."""
        return len(b"".join(self.chunks()))

    def chunks(self, start_bytes: int = 0) -> Iterator[bytes]:
        """Yield the chunks, of which some are empty."""
        for number in range(3):
            chunk = f"{self._stem} {number} ".encode()
            yield chunk[start_bytes:]
            start_bytes = max(0, start_bytes - len(chunk))

    def stop(self) -> None:
        """Take note."""
        self.is_stopped = True


@dataclass
class Server:
    """A running application and what is behind it."""

    services: Services
    stems: StemsServices
    webhooks: WebhookServices
    database: Database
    store: SongStore
    outbox: Outbox
    storage: LocalStorage
    pools: Pools
    clock: Clock
    files_dir: Path
    app: FastAPI
    client: httpx.AsyncClient

    @property
    def analyses(self) -> AnalysisStore:
        """The store of analysis jobs."""
        store = self.stems.analysis_jobs
        assert isinstance(store, JobStore)
        return store

    @property
    def working_dir(self) -> Path:
        """Where requests have their files."""
        return self.stems.arrivals.working_dir

    def left_behind(self) -> list[str]:
        """Name every file in the working directory and in the storage."""
        roots = (self.working_dir, self.files_dir)
        return [
            str(path) for root in roots for path in root.rglob("*") if path.is_file()
        ]

    def app_with(self, **changes: Any) -> FastAPI:
        """Return the application with some services replaced, wherever they belong."""
        if "limits" in changes:
            jobs = songs(self.database, self.clock, self.outbox, changes["limits"])
            analyses = analyses_store(
                self.database, self.clock, self.outbox, changes["limits"]
            )
            changes = {"jobs": jobs, "analysis_jobs": analyses, **changes}
        if "tenant_header" in changes:
            changes["door"] = OpenDoor(changes.pop("tenant_header"))
        behind = (self.services, self.stems, self.stems.arrivals, self.webhooks)
        known = {each.name for services in behind for each in fields(services)}
        assert set(changes) <= known, set(changes) - known
        changes["arrivals"] = _changed(self.stems.arrivals, changes)
        return application(
            _changed(self.services, changes),
            _changed(self.stems, changes),
            _changed(self.webhooks, changes),
        )

    def with_services(self, **changes: Any) -> httpx.AsyncClient:
        """Return a client of this server with some services replaced."""
        return connect(self.app_with(**changes))

    async def post_raw(
        self, path: str, headers: Mapping[str, str], receive: Receive
    ) -> int:
        """Send a request message by message; return the status of the answer."""
        sent: list[Message] = []
        scope: Scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [
                (name.lower().encode(), value.encode())
                for name, value in headers.items()
            ],
        }

        async def send(message: Message) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        return int(sent[0]["status"])

    async def separate(self, song: bytes, **fields: str) -> str:
        """Hand in a song; return its job's id."""
        answer = await self.client.post(
            "/separate", files={"file": ("song.wav", song)}, data=fields
        )
        assert answer.status_code == 200, answer.text
        return str(answer.json()["job_id"])

    def claim(self) -> Claim:
        """Take up the oldest job, as a dispatcher would."""
        (job,) = self.store.claim("me", lease_seconds=30.0, include_alone=True)
        return job.claim

    def succeed(
        self, stems: Mapping[str, bytes], song_name: str = "song"
    ) -> SeparationJob:
        """Finish the oldest job with `stems`, as a dispatcher would."""
        claim = self.claim()
        job = self.store.get(claim.job_id)
        made = tuple(
            self._store_stem(job, name, data, song_name) for name, data in stems.items()
        )
        found = {"bpm": 124.0, "key": "C# minor"}
        self.store.succeed(claim, Result("demo", made, 0.5, found))
        return self.store.get(job.id)

    def analyze(self) -> AnalysisJob:
        """Finish the oldest analysis job, as a dispatcher would."""
        (job,) = self.analyses.claim("me", lease_seconds=30.0, include_alone=True)
        assert not isinstance(self.pools.analysis, AppError)
        self.analyses.succeed(job.claim, AnalysisResult(self.pools.analysis))
        return self.analyses.get(job.id)

    def _store_stem(
        self, job: SeparationJob, name: str, data: bytes, song_name: str
    ) -> StemFile:
        chosen = formats.parse(job.request.options.format)
        key = f"stems/{job.id}/1/{name}{chosen.suffix}"
        path = self.files_dir.parent / "stem"
        path.write_bytes(data)
        self.storage.put(key, path)
        path.unlink()
        return StemFile(
            name,
            key,
            f"{song_name}_{name}{chosen.suffix}",
            len(data),
            sha256(data).hexdigest(),
            chosen.media_type,
        )


def songs(
    database: Database, clock: Clock, outbox: Outbox, limits: Limits = LIMITS
) -> SongStore:
    """Return the store of jobs whose rules follow from `limits`."""
    return JobStore(database, clock, separation(limits.rules), outbox.post)


def analyses_store(
    database: Database, clock: Clock, outbox: Outbox, limits: Limits = LIMITS
) -> AnalysisStore:
    """Return the store of analysis jobs whose rules follow from `limits`."""
    return JobStore(database, clock, song_analysis(limits.rules), outbox.post)


def _changed(services: S, changes: Mapping[str, Any]) -> S:
    """Return `services` with those of `changes` that are theirs."""
    own = {each.name for each in fields(services)}
    return replace(services, **{name: changes[name] for name in own & set(changes)})


def application(
    services: Services, stems: StemsServices, webhooks: WebhookServices
) -> FastAPI:
    """Return the application of stems."""
    return create_app(services, [webhooks_part(webhooks), stems_part(stems)])


@asynccontextmanager
async def running(directory: Path, database: Database) -> AsyncIterator[Server]:
    """Run a server whose files are in `directory`."""
    clock, pools, files_dir = Clock(), Pools(), directory / "files"
    outbox = Outbox(database, clock)
    store = songs(database, clock, outbox)
    storage = LocalStorage(files_dir)
    services = Services(StoredResponses(database, clock), clock)
    stems = StemsServices(
        jobs=store,
        analysis_jobs=analyses_store(database, clock, outbox),
        storage=storage,
        arrivals=Arrivals(
            fetch=pools.fetch,
            measure=lambda path, _: measure(path, AUDIO_LIMITS),
            working_dir=directory / "tmp",
            max_upload_bytes=LIMITS.max_upload_bytes,
        ),
        analyses=pools,
        follow=pools.follow,
        wake=pools.wake,
        stop=pools.stop,
        health=pools.health,
        models=MODELS,
        limits=LIMITS,
        clock=clock,
        reuse=Reuse(store, storage, clock).result,
        check_webhook=partial(checked, rules=UrlRules()),
    )
    webhooks = WebhookServices(outbox, Owners(database, clock))
    app = application(services, stems, webhooks)
    async with connect(app) as client:
        yield Server(
            *(services, stems, webhooks, database, store, outbox, storage),
            *(pools, clock, files_dir, app, client),
        )


def connect(app: FastAPI) -> httpx.AsyncClient:
    """Return a client of `app`, no network between them."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://server")


async def refuse_to_read() -> Message:
    """Stand in for a body that must not be read."""
    raise AssertionError("the body was read")


def assert_problem(answer: httpx.Response, status: int, code: str) -> str:
    """Check the form that every error has; return its `detail`."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert problem["code"] == code
    assert problem["type"] == f"urn:stemserve:problem:{code}"
    assert problem["title"]
    assert problem["instance"].endswith(answer.headers["x-request-id"])
    detail = problem["detail"]
    assert isinstance(detail, str)
    assert "Traceback" not in answer.text
    assert 'File "' not in answer.text
    return detail
