"""What the API is given to work with."""

from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from math import ceil
from pathlib import Path
from typing import Any, Protocol

from serve_app.analysis.waveform import Pixels, Span
from serve_app.audio.facts import AudioFacts
from serve_app.disk import DiskReserve
from serve_app.jobs.answer import Answer
from serve_app.jobs.footprint import Share
from serve_app.jobs.job import Job, Result, State
from serve_app.licences import Licences
from serve_app.reports import ExportRequest, Request
from serve_app.storage.port import DirectUploads, Storage
from serve_app.webhooks.delivery import Delivery

# Brings a song from a URL to a path and returns its name, for as long as it is wanted.
Fetch = Callable[[str, Path, Callable[[], bool]], str]

# Decodes a song whole and returns what it is, for as long as it is wanted.
Measure = Callable[[Path, Callable[[], bool]], AudioFacts]


class Jobs(Protocol):
    """The jobs that the API hands in, looks up and ends."""

    def add(
        self,
        job: Job,
        *,
        max_queued: int,
        share: Share | None = None,
        answer: Answer | None = None,
    ) -> Answer | None:
        """Queue `job`, or return what the same request was answered before.

        QueueFull when `max_queued` jobs wait already, or when the jobs of its client
        would take more than their `share`.
        """

    def with_file(self, file_key: str) -> Sequence[Job]:
        """Return the newest jobs with the same file and options, the newest first."""

    def find(self, job_ids: Collection[str]) -> Mapping[str, Job]:
        """Return, by id, those of some jobs that there are."""

    def listed(self, tenant: str, limit: int) -> Sequence[Job]:
        """Return a tenant's newest jobs that were not deleted, the newest first."""

    def check_room(self, max_queued: int, share: Share, client: str) -> None:
        """Raise QueueFull when `max_queued` jobs wait already.

        Or when those of the client take all of its `share`.
        """

    def disk_bytes(self, client: str | None = None) -> int:
        """Return the most disk that jobs under way may take, of all or of a client."""

    def counts(self) -> Mapping[State, int]:
        """Count the jobs in each state."""

    def skew_seconds(self) -> float:
        """Return by how much our clock is ahead of the database's."""

    def cancel(self, job_id: str, retention_seconds: float) -> Job:
        """Cancel the job unless it has ended; JobNotFound if there is none."""

    def remove(self, job_id: str) -> None:
        """Forget a job that has ended."""


class Answers(Protocol):
    """What requests that may be sent twice were answered."""

    def find(self, request_id: str) -> Answer | None:
        """Return what a request was answered, if it was and not too long ago."""

    def keep(self, answer: Answer) -> Answer | None:
        """Keep an answer, unless the request has one, which is returned then."""


class Deliveries(Protocol):
    """The webhooks that jobs have, and what became of them."""

    def of_job(self, job_id: str) -> Sequence[Delivery]:
        """Return the deliveries that tell of a job."""

    def replay(self, job_id: str, delivery_id: str) -> Delivery:
        """Begin a delivery anew; DeliveryNotFound if the job has no such one."""


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
class Limits:
    """How much is taken and how long it is kept.

    `link_seconds` is how long addresses of stems outside this service last; 0 for none.
    `client_queue_share` is the part of the queue that one client's jobs may fill.
    `max_ongoing_requests` is what the server takes at once; long ones get parts of it.
    """

    max_upload_bytes: int
    max_queued_jobs: int
    retention_seconds: float
    link_seconds: int = 0
    max_ongoing_requests: int = 512
    client_queue_share: float = 1.0
    max_job_disk_bytes: int = 64 * 1024**3
    max_client_disk_bytes: int = 128 * 1024**3

    @property
    def share(self) -> Share:
        """What one client's jobs may take."""
        queued_jobs = ceil(self.max_queued_jobs * self.client_queue_share)
        return Share(queued_jobs, self.max_client_disk_bytes)


@dataclass(frozen=True)
class Services:
    """Everything behind the API.

    `measure` decodes a file whole, for as long as it is wanted, and raises
    UnreadableAudio, AudioTooLong, Unavailable, and BadRequest when nobody wants it.
    `fetch` raises RefusedUrl, UnreachableUrl, UploadTooLarge and StorageUnavailable.
    `uploads` is None where files can't be sent to the store directly.
    `tell_of_song` analyses a stored song, its answer has `bpm` and `key`;
    `tell_of_stem` a stem, and `tell_peaks` has the exact peaks of a span of either.
    `export` makes an export of a job.
    `follow` begins to read a stem of a job that is not over. `wake` has new jobs looked
    for at once, and `stop` stops one that was cancelled. `health` says what the pools
    report: `ready` and, where known, `model`, `device`, `reason` and more.
    `default_model` is the name of one of `models`.
    `reuse` returns a result for a job if another one had made the same, one of those
    given, with whose stems it copies the song, or, without any, one that it looks for;
    it is asked if `reuses`.
    `tenant_header` names the header that says whose a request is; empty where all
    clients are one.
    `public_url` is where clients reach the service, without a slash at its end; empty
    where each request's own address is used. `trusted_proxies` are the addresses and
    networks whose X-Forwarded-* headers count. `allowed_hosts` are the hosts that
    requests may name, any if empty.
    `reserve` says when there is no room for more songs.
    `check_webhook` raises RefusedUrl for an address that no webhook is sent to; None
    where none are sent at all.
    """

    jobs: Jobs
    answers: Answers
    reuse: Callable[[Job, Sequence[Job]], Result | None]
    deliveries: Deliveries
    storage: Storage
    fetch: Fetch
    measure: Measure
    tell_of_song: Callable[[Request], Awaitable[Mapping[str, Any]]]
    tell_of_stem: Callable[[Request], Awaitable[Mapping[str, Any]]]
    export: Callable[[ExportRequest], Awaitable[None]]
    tell_peaks: Callable[[Request, Span], Awaitable[Pixels]]
    follow: Callable[[Job, str], Follower]
    wake: Callable[[], None]
    stop: Callable[[str], None]
    health: Callable[[], Awaitable[Mapping[str, Any]]]
    models: Sequence[ModelInfo]
    default_model: str
    limits: Limits
    working_dir: Path
    clock: Callable[[], datetime]
    cors_origins: tuple[str, ...] = ("*",)
    public_url: str = ""
    trusted_proxies: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    reuses: bool = True
    tenant_header: str = ""
    uploads: DirectUploads | None = None
    check_webhook: Callable[[str], object] | None = None
    reserve: DiskReserve = field(default_factory=DiskReserve)
