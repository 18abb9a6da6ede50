"""What a client asks for when a song is to be separated, and what it gets."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Any

from serve_app.jobs import codec
from serve_app.jobs.job import Job
from serve_app.stems.options import Priority
from serve_app.webhooks.target import Webhook

# Clients may ask for the vocals, and for the sum of all else.
VOCALS, ACCOMPANIMENT = "vocals", "accompaniment"


class Stage(StrEnum):
    """What a running job is doing."""

    FETCH = "fetch"
    SEPARATE = "separate"
    UPLOAD = "upload"


@dataclass(frozen=True)
class Options:
    """What a client asked for: a model, a subset of stems, a file format, and when."""

    model: str
    stems: tuple[str, ...]
    format: str
    priority: Priority = Priority.NORMAL
    bpm_range: tuple[float, float] | None = None  # where its tempo is, if that is known


def content_key(tenant: str, content_sha256: str, options: Options) -> str:
    """Return what all jobs share that give `tenant` the same stems of a content.

    When they are made makes no difference to them.
    """
    wanted = codec.to_json(options)
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
class SeparationRequest:
    """A song, what is wanted of it, and whom to tell."""

    source: Source
    options: Options
    webhook: Webhook | None = None


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


SeparationJob = Job[SeparationRequest, Result]
