"""What the routes of stems are given to work with."""

from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from math import ceil
from pathlib import Path
from typing import Any, Protocol, TypeVar

from serve_app.analysis.waveform import Pixels, Span
from serve_app.audio.facts import AudioFacts
from serve_app.idempotency.response import Answer
from serve_app.idempotency.store import AnswerReceipt
from serve_app.jobs.job import AnyJob, State
from serve_app.jobs.kind import Rules, Share
from serve_app.separation.licences import Licences
from serve_app.stems.analysis_jobs.request import AnalysisJob
from serve_app.stems.reports import ExportRequest, Request
from serve_app.stems.request import Result, SeparationJob
from serve_app.storage.disk_reserve import DiskReserve
from serve_app.storage.port import DirectUploads, Storage

# Brings a song from a URL to a path and returns its name, for as long as it is wanted.
Fetch = Callable[[str, Path, Callable[[], bool]], str]

# Decodes a song whole and returns what it is, for as long as it is wanted.
Measure = Callable[[Path, Callable[[], bool]], AudioFacts]


J = TypeVar("J", bound=AnyJob)


class Queue(Protocol[J]):
    """Where jobs of a kind are handed in and ended."""

    def add(self, job: J, receipt: AnswerReceipt | None = None) -> Answer | None:
        """Queue `job`, or return what the same request was answered before.

        QueueFull when as many wait as may, of all clients or of its client.
        """

    def check_room(self, client: str) -> None:
        """Raise QueueFull when as many jobs wait as may, of all clients or of this."""

    def cancel(self, job_id: str) -> J:
        """Cancel the job unless it has ended; JobNotFound if there is none."""

    def remove(self, job_id: str) -> None:
        """Forget a job that has ended."""

    def find(self, job_ids: Collection[str]) -> Mapping[str, J]:
        """Return, by id, those of some jobs that there are."""


class Lookup(Protocol):
    """Where songs are looked up."""

    def with_same_input(self, same_input: str) -> Sequence[SeparationJob]:
        """Return jobs with the same file and options, the newest first."""

    def listed(self, tenant: str, limit: int) -> Sequence[SeparationJob]:
        """Return a tenant's newest jobs that were not deleted, the newest first."""


class QueueFacts(Protocol):
    """What /health and the lists say of the queue."""

    def disk_bytes(self, client: str | None = None) -> int:
        """Return the most disk that jobs under way may take, of all or of a client."""

    def counts(self) -> Mapping[State, int]:
        """Count the jobs in each state."""

    def skew_seconds(self) -> float:
        """Return by how much our clock is ahead of the database's."""


class Jobs(Queue[SeparationJob], Lookup, QueueFacts, Protocol):
    """The jobs of songs."""


class Analyses(Protocol):
    """The pool that analyses; each call ends soon when it is cancelled."""

    async def tell_of_song(self, request: Request) -> Mapping[str, Any]:
        """Return all that is found out about a stored song: `bpm`, `key` and more."""

    async def tell_of_stem(self, request: Request) -> Mapping[str, Any]:
        """Return the loudness and the levels of a stored stem."""

    async def tell_peaks(self, request: Request, span: Span) -> Pixels:
        """Return the exact peaks of a span of a stored song or stem."""

    async def export(self, request: ExportRequest) -> None:
        """Make an export of a job."""


class Follower(Protocol):
    """A stem of a running job as a wav, so far as it is done; one thread at a time."""

    def is_ready(self) -> bool:
        """Whether the next chunk can be had without waiting, or nothing will come."""

    def chunks(self) -> Iterator[bytes]:
        """Yield the wav from its beginning; waits for what is not done yet."""

    def stop(self) -> None:
        """Let `chunks` end soon."""


@dataclass(frozen=True)
class ModelInfo:
    """A model that clients can ask for.

    With a `refusal`, which says why, it is not served; `licences` are None for a name
    that may stand for one of several models.
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
    """The models that clients can ask for; `default` is the name of one of them."""

    infos: Sequence[ModelInfo]
    default: str


@dataclass(frozen=True)
class Limits:
    """How much is taken and how long it is kept.

    `link_seconds` is how long addresses of stems outside this service last; 0 for none.
    `client_queue_share` is the part of the queue that one client's jobs may fill.
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
        """How many songs may wait, and how long they are kept."""
        queued_jobs = ceil(self.max_queued_jobs * self.client_queue_share)
        return Rules(
            max_queued=self.max_queued_jobs,
            share=Share(queued_jobs, self.max_client_disk_bytes),
            retention_seconds=self.retention_seconds,
        )


@dataclass(frozen=True)
class Arrivals:
    """How songs arrive: by upload, from a URL or a bucket, or in a store already.

    `measure` decodes a file whole, for as long as it is wanted, and raises
    UnreadableAudio, AudioTooLong, Unavailable, and BadRequest when nobody wants it.
    `fetch` raises RefusedUrl, UnreachableUrl, UploadTooLarge and StorageUnavailable.
    `uploads` is None where files can't be sent to the store directly. `reserve` says
    when there is no room for more songs.
    """

    fetch: Fetch
    measure: Measure
    working_dir: Path
    max_upload_bytes: int
    uploads: DirectUploads | None = None
    reserve: DiskReserve = field(default_factory=DiskReserve)


@dataclass(frozen=True)
class StemsServices:
    """Everything behind the routes of stems.

    `reuse` returns a result for a job if another one had made the same, one of those
    given, with whose stems it copies the song, or, without any, one that it looks for;
    None where nothing is reused.
    `follow` begins to read a stem of a job that is not over. `wake` has new jobs of a
    kind looked for at once, and `stop` stops one of a kind that was cancelled. `health`
    returns what the pools report: `ready` and, where known, `model`, `device`, `reason`
    and more.
    `check_webhook` raises RefusedUrl for an address that no webhook is sent to; None
    where none are sent at all. `public_url` is that of the service.
    """

    jobs: Jobs
    analysis_jobs: Queue[AnalysisJob]
    storage: Storage
    arrivals: Arrivals
    analyses: Analyses
    follow: Callable[[SeparationJob, str], Follower]
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
