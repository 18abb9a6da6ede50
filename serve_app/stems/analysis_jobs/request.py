"""What a client requests when a song is to be analysed as a job, and what it gets."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from serve_app.jobs.job import Job
from serve_app.stems.request import Source
from serve_app.webhooks.target import Webhook


class Stage(StrEnum):
    """What a running job is doing."""

    ANALYZE = "analyze"


@dataclass(frozen=True)
class AnalysisRequest:
    """A song to analyse, its range of tempos if known, and a webhook if wanted."""

    source: Source
    bpm_range: tuple[float, float] | None = None
    webhook: Webhook | None = None


@dataclass(frozen=True)
class AnalysisResult:
    """The report on the song; its fields are those of `POST /analyze`."""

    report: Mapping[str, Any]


AnalysisJob = Job[AnalysisRequest, AnalysisResult]
