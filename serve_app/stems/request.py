"""The request and the result of a separation job."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Annotated, Any

from pydantic import Field

from serve_app.jobs import codec
from serve_app.jobs.job import Job
from serve_app.stems.options import Priority
from serve_app.webhooks.target import Webhook

# Stems that clients can choose: the vocals, and the sum of all other sources.
VOCALS, ACCOMPANIMENT = "vocals", "accompaniment"


class Stage(StrEnum):
    """The stage of a running job."""

    FETCH = "fetch"
    SEPARATE = "separate"
    UPLOAD = "upload"


@dataclass(frozen=True)
class Options:
    """The options of a request: model, stems, file format, priority, tempo range."""

    model: str
    stems: tuple[str, ...]
    format: str
    priority: Priority = Priority.NORMAL
    bpm_range: tuple[float, float] | None = None  # the song's tempo, if it is known


def content_key(tenant: str, content_sha256: str, options: Options) -> str:
    """Return the key of all jobs of `tenant` that make the same stems of a content.

    The priority is left out: it does not change the stems.
    """
    wanted = codec.to_json(options)
    del wanted["priority"]
    parts = [tenant, content_sha256, wanted]
    return sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Source:
    """The song of a job: its name, its key in storage, and its audio facts.

    `mean`, `deviation` and `side_mean` normalise it; see `serve_app.audio.facts`. Jobs
    that an older version queued have no `side_mean`.
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
    """A song, the options of its separation, and the webhook if there is one."""

    source: Source
    options: Options
    webhook: Webhook | None = None


@dataclass(frozen=True)
class StemFile:
    """A finished stem: its key in storage, and the metadata of a download."""

    name: str
    key: str
    filename: str
    size_bytes: int
    sha256: str
    media_type: str


@dataclass(frozen=True)
class Result:
    """The result of a succeeded job.

    `gain` is the factor of all stems that prevents clipping in integer formats (1.0 if
    no sample exceeded full scale). `analysis` is None if it failed, and
    `analysis_error` then says why. `engine` has the runtime, precision and device that
    computed the stems, and `device_seconds` is its share of that device's time, of the
    attempt that succeeded. `cache` is "hit" if another job made the stems.
    """

    model: str
    stems: tuple[StemFile, ...]
    gain: float
    analysis: Mapping[str, Any] | None = None
    analysis_error: str | None = None
    engine: Mapping[str, str] | None = None
    cache: str | None = None
    # Not stored: the version before could not read it. Its use is in the usage table.
    device_seconds: Annotated[float, Field(exclude=True)] = 0.0


SeparationJob = Job[SeparationRequest, Result]
