"""The services that the routes of stems use."""

from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from math import ceil
from pathlib import Path
from typing import Any, Protocol, TypeVar

from serve_app.analysis.waveform import Pixels, Span
from serve_app.audio.facts import AudioFacts
from serve_app.audio.wave import WavForm
from serve_app.idempotency.response import StoredResponse
from serve_app.idempotency.store import ResponseReceipt
from serve_app.jobs.job import AnyJob, State
from serve_app.jobs.kind import Rules, Share
from serve_app.separation.licences import Licences
from serve_app.stems.analysis_jobs.request import AnalysisJob
from serve_app.stems.mixes import MixRequest
from serve_app.stems.reports import ExportRequest, Request
from serve_app.stems.request import Result, SeparationJob
from serve_app.storage.disk_reserve import DiskReserve
from serve_app.storage.port import DirectUploads, Storage
from serve_app.telemetry.decodes import Decodes
from serve_app.usage.quotas import NO_QUOTAS, Quotas

# Fetches a song from a URL to a path and returns its name. The last argument returns
# False when the song is no longer wanted.
Fetch = Callable[[str, Path, Callable[[], bool]], str]

# Decodes a whole song and returns its facts. The last argument returns False when the
# song is no longer wanted.
Measure = Callable[[Path, Callable[[], bool]], AudioFacts]


J = TypeVar("J", bound=AnyJob)


class Queue(Protocol[J]):
    """The queue of a kind of job: adds, finds, cancels and removes jobs."""

    def add(
        self,
        job: J,
        receipt: ResponseReceipt | None = None,
        quotas: Quotas = NO_QUOTAS,
    ) -> StoredResponse | None:
        """Queue `job` and return None, or return the kept response to its request.

        Raises QueueFull when the queue, or the client's share of it, is full, and
        QuotaExceeded or AudioTooLong when `quotas` leave no room for the job.
        """

    def check_room(
        self, client: str, tenant: str = "", quotas: Quotas = NO_QUOTAS
    ) -> None:
        """Raise QueueFull when the queue, or the client's share of it, is full.

        Raises QuotaExceeded when one of the `quotas` is used up.
        """

    def cancel(self, job_id: str) -> J:
        """Cancel the job unless it has ended; raise JobNotFound for an unknown id."""

    def remove(self, job_id: str) -> None:
        """Delete the row of a job that has ended."""

    def find(self, job_ids: Collection[str]) -> Mapping[str, J]:
        """Return, by id, those of some jobs that there are."""

    def find_of(self, tenant: str, job_id: str) -> J | None:
        """Return a tenant's job, or None for another's and an unknown one."""

    def counts(self) -> Mapping[State, int]:
        """Count the jobs in each state."""


class Lookup(Protocol):
    """Read access to songs."""

    def with_same_input(self, same_input: str) -> Sequence[SeparationJob]:
        """Return jobs with the same file and options, newest first."""

    def listed(self, tenant: str, limit: int) -> Sequence[SeparationJob]:
        """Return a tenant's jobs that were not deleted, newest first."""


class QueueFacts(Protocol):
    """The facts of the queue that /health and the lists report."""

    def disk_bytes(self, client: str | None = None) -> int:
        """Return the most disk that unfinished jobs may take, of all or of a client."""

    def skew_seconds(self) -> float:
        """Return by how much this machine's clock is ahead of the database's."""


class Jobs(Queue[SeparationJob], Lookup, QueueFacts, Protocol):
    """The jobs of songs."""


class Analyses(Protocol):
    """The pool of Analyzers; each call ends soon after it is cancelled."""

    async def analyze_song(self, request: Request) -> Mapping[str, Any]:
        """Return the full analysis of a stored song: `bpm`, `key` and more."""

    async def analyze_stem(self, request: Request) -> Mapping[str, Any]:
        """Return the loudness and the levels of a stored stem."""

    async def exact_peaks(self, request: Request, span: Span) -> Pixels:
        """Return the exact peaks of a span of a stored song or stem."""

    async def export(self, request: ExportRequest) -> None:
        """Make and store an export of a job."""

    async def mix(self, request: MixRequest) -> None:
        """Render and store a mix of a job's stems."""


class Follower(Protocol):
    """A stem of a running job as a growing wav; for one thread at a time."""

    def is_ready(self) -> bool:
        """Whether `chunks` would not wait: the next chunk is ready, or it ends."""

    @property
    def size_bytes(self) -> int:
        """The size of the whole wav."""

    def chunks(self, start_bytes: int = 0) -> Iterator[bytes]:
        """Yield the wav from a byte on; wait for what is not separated yet.

        Chunks can be empty. Raises NotReady if the job ends without stems.
        """

    def stop(self) -> None:
        """Make `chunks` end soon."""


@dataclass(frozen=True)
class ModelInfo:
    """A model that clients can choose.

    A model with a `refusal`, the reason, is not served. `licences` are None for a name
    that may mean one of several models.
    """

    name: str
    sources: tuple[str, ...]
    sample_rate: int
    trained_on: str
    licence: str
    description: str
    licences: Licences | None = None
    refusal: str | None = None


@dataclass(frozen=True)
class Models:
    """The models that clients can choose; `default` is the name of one of them."""

    infos: Sequence[ModelInfo]
    default: str


@dataclass(frozen=True)
class Limits:
    """Limits of uploads, queue and disk, and how long jobs are kept.

    `link_seconds` is how long presigned URLs of stems are valid; 0 for none.
    `client_queue_share` is the fraction of the queue that one client's jobs may fill.
    """

    max_upload_bytes: int
    max_queued_jobs: int
    retention_seconds: float
    link_seconds: int = 0
    client_queue_share: float = 1.0
    max_job_disk_bytes: int = 64 * 1024**3
    max_client_disk_bytes: int = 128 * 1024**3

    @property
    def rules(self) -> Rules:
        """The queue's limits and retention as rules of the job kind."""
        queued_jobs = ceil(self.max_queued_jobs * self.client_queue_share)
        return Rules(
            max_queued=self.max_queued_jobs,
            share=Share(queued_jobs, self.max_client_disk_bytes),
            retention_seconds=self.retention_seconds,
        )


@dataclass(frozen=True)
class Arrivals:
    """How songs arrive: by upload, from a URL or a bucket, or as a direct upload.

    `measure` decodes a whole file. It raises UnreadableAudio, AudioTooLong,
    Unavailable, and BadRequest when the file is no longer wanted. `fetch` raises
    RefusedUrl, UnreachableUrl, UploadTooLarge and StorageUnavailable. `uploads` is None
    if the store has no direct uploads. `reserve` checks that the disks have room for
    more songs. `decodes` records the calls of `measure`.
    """

    fetch: Fetch
    measure: Measure
    working_dir: Path
    max_upload_bytes: int
    uploads: DirectUploads | None = None
    reserve: DiskReserve = field(default_factory=DiskReserve)
    decodes: Decodes = field(default_factory=Decodes)


@dataclass(frozen=True)
class StemsServices:
    """Everything behind the routes of stems.

    `reuse` returns a result for a job from another job with the same work: one of the
    given jobs, whose song it copies too, or else one that it finds itself. It is None
    if reuse is off.
    `follow` starts to read a stem of an unfinished job, as a wav. `wake` makes the
    dispatcher of a kind look for new jobs at once, and `stop` stops a job of a kind
    that was cancelled. `health` returns the report of the pools: `ready` and, if known,
    `model`, `device`, `reason` and more. `check_webhook` raises RefusedUrl for a URL
    that is not allowed; it is None if webhooks are off. `public_url` is the service's
    own.
    """

    jobs: Jobs
    analysis_jobs: Queue[AnalysisJob]
    storage: Storage
    arrivals: Arrivals
    analyses: Analyses
    follow: Callable[[SeparationJob, str, WavForm], Follower]
    wake: Callable[[str], None]
    stop: Callable[[str, str], None]
    health: Callable[[], Awaitable[Mapping[str, Any]]]
    models: Models
    limits: Limits
    clock: Callable[[], datetime]
    public_url: str = ""
    reuse: Callable[[SeparationJob, Sequence[SeparationJob]], Result | None] | None = (
        None
    )
    check_webhook: Callable[[str], object] | None = None
