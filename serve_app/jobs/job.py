"""A job and everything it can be."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Any

# Clients may ask for the vocals, and for the sum of all else.
VOCALS, ACCOMPANIMENT = "vocals", "accompaniment"

# Where a job's files lie in storage: `originals/{job}`, `uploads/{job}`,
# `stems/{job}/{attempt}/{file}`, `parts/{job}/{engine}/{window}` and what is made of
# the song and its stems, `derived/{job}/{file}`.
ORIGINALS, UPLOADS, STEMS, PARTS = "originals", "uploads", "stems", "parts"
DERIVED = "derived"
FOLDERS = (ORIGINALS, UPLOADS, STEMS, PARTS, DERIVED)


class State(StrEnum):
    """Where a job stands; the last three are final."""

    QUEUED = "queued"  # waits for a dispatcher to claim it
    RUNNING = "running"  # claimed: an owner holds the lease
    SUCCEEDED = "succeeded"  # the manifest of its stems is published
    FAILED = "failed"  # its `error` says why; it is not tried again
    CANCELLED = "cancelled"  # its client asked for that

    @property
    def is_final(self) -> bool:
        """Whether a job in this state will never change again but expire."""
        return self in (State.SUCCEEDED, State.FAILED, State.CANCELLED)


class Stage(StrEnum):
    """What a running job is doing."""

    FETCH = "fetch"
    SEPARATE = "separate"
    UPLOAD = "upload"


class Priority(StrEnum):
    """How soon a job has its turn, where several wait or run."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"

    @property
    def rank(self) -> int:
        """What waiting jobs are ordered by, the first being 0."""
        return list(Priority).index(self)

    @property
    def turns(self) -> int:
        """How many windows a running job gets for each one of the low jobs'."""
        return {Priority.HIGH: 9, Priority.NORMAL: 3, Priority.LOW: 1}[self]


@dataclass(frozen=True)
class Options:
    """What a client asked for: a model, a subset of stems, a file format, and when."""

    model: str
    stems: tuple[str, ...]
    format: str
    priority: Priority = Priority.NORMAL
    bpm_range: tuple[float, float] | None = None  # where its tempo is, if that is known


def given(options: Options) -> dict[str, Any]:
    """Return options as JSON has them, without newer ones that were not given.

    So an older version knows all that it finds, while an upgrade goes on.
    """
    found = asdict(options)
    if options.bpm_range is None:
        del found["bpm_range"]
    return found


def content_key(tenant: str, content_sha256: str, options: Options) -> str:
    """Return what all jobs share that give `tenant` the same stems of a content.

    When they are made makes no difference to them.
    """
    wanted = given(options)
    del wanted["priority"]
    parts = [tenant, content_sha256, wanted]
    return sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Source:
    """The song that came in: its name, where it lies, and what its audio is.

    `mean`, `deviation` and `side_mean` are what normalises it; see
    `serve_app.audio.facts`. Jobs that an older version queued have no `side_mean`.
    """

    filename: str
    key: str
    size_bytes: int
    sha256: str
    sample_rate: int
    channels: int
    samples: int
    mean: float
    deviation: float
    side_mean: float = 0.0

    @property
    def duration_seconds(self) -> float:
        """The song's length."""
        return self.samples / self.sample_rate


@dataclass(frozen=True)
class StemFile:
    """A finished stem: its place in storage and what a download needs to say."""

    name: str
    key: str
    filename: str
    size_bytes: int
    sha256: str
    media_type: str


@dataclass(frozen=True)
class Result:
    """What a succeeded job gives back.

    `gain` is the factor common to all stems that kept integer formats from clipping
    (1.0 when nothing was over full scale). `analysis` is None when it failed, and
    `analysis_error` then says why. `engine` is what computed it: runtime, precision
    and device.
    """

    model: str
    stems: tuple[StemFile, ...]
    gain: float
    analysis: Mapping[str, Any] | None = None
    analysis_error: str | None = None
    engine: Mapping[str, str] | None = None
    cache: str | None = None  # "hit": another job had made it


class Event(StrEnum):
    """What a webhook may tell of."""

    COMPLETED = "job.completed"
    FAILED = "job.failed"
    CANCELLED = "job.cancelled"


@dataclass(frozen=True)
class Webhook:
    """Where a client wants to be told of its job, and of what."""

    url: str
    events: tuple[Event, ...] = tuple(Event)


# As long as a long symphony's movement: what is longer is a set, a film or a concert.
SHORT_SONG_SECONDS = 600.0


@dataclass(frozen=True)
class PassedBy:
    """Which jobs are not to be begun now: those of some clients, and long songs.

    Long ones are those over SHORT_SONG_SECONDS: all of them, or those of some clients.
    """

    clients: frozenset[str] = frozenset()
    long_songs: bool = False
    long_songs_of: frozenset[str] = frozenset()


NONE_PASSED_BY = PassedBy()


@dataclass(frozen=True)
class Claim:
    """The right to write to a job that runs as this (owner, attempt)."""

    job_id: str
    owner: str
    attempt: int


@dataclass(frozen=True)
class Job:
    """One song on its way through the service. Times are UTC."""

    id: str
    source: Source
    options: Options
    state: State
    created_at: datetime
    updated_at: datetime
    stage: Stage | None = None
    progress: float = 0.0  # 0..1
    attempt: int = 0  # counts claims; a fencing token, never reused
    failures: int = 0  # counts the attempts that are charged to the job
    excused: int = 0  # counts the attempts that ended because something else was away
    run_alone: bool = False  # a replica died under it and others: find the culprit
    owner: str | None = None
    lease_expires_at: datetime | None = None
    started_at: datetime | None = None  # when the attempt under way was begun
    cancel_requested: bool = False
    error: str | None = None
    error_code: str | None = None
    result: Result | None = None
    expires_at: datetime | None = None
    tenant: str = ""  # whose it is, where the operator tells clients apart
    client: str = ""  # for whom it is counted: the tenant, else an address; never shown
    # In seconds since 1970, when it has its turn among others of its priority: the time
    # at which it came, but after the other songs of its client, and as much later as it
    # is long. Set when it is added.
    turn: float = 0.0
    disk_bytes: int = 0  # the most that it takes of disks until it has ended
    # What jobs with the same options have in common that have the same file, or the
    # same sound in it: one of them is computed.
    file_key: str | None = None
    audio_key: str | None = None
    waits_for: str | None = None  # the id of the job that computes the same
    webhook: Webhook | None = None

    def evolve(self, **changes: Any) -> "Job":
        """Return this job with `changes` applied."""
        return replace(self, **changes)

    @property
    def claim(self) -> Claim:
        """The claim under which the job runs now; only a running job has one."""
        if self.owner is None:
            raise ValueError(f"job {self.id} is not claimed")
        return Claim(self.id, self.owner, self.attempt)
