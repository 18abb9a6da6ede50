"""A job as its client sees it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any
from urllib.parse import urljoin


@dataclass(frozen=True)
class Ticket:
    """A job that the server accepted: its id, and the server to ask about it.

    Keep both texts to go on with the job in another process.
    """

    job_id: str
    base_url: str

    @property
    def url(self) -> str:
        """The address of the job."""
        return f"{self.base_url.rstrip('/')}/job/{self.job_id}"


@dataclass(frozen=True)
class RemoteStem:
    """A stem to download. Its name and suffix are safe as parts of a path."""

    name: str
    suffix: str
    url: str
    size_bytes: int | None = None
    sha256: str | None = None

    @property
    def filename(self) -> str:
        """The name that the stem gets in a directory, such as `drums.wav`."""
        return f"{self.name}{self.suffix}"


@dataclass(frozen=True)
class RemoteJob:
    """A job as it was when the server was asked, and its stems once it is completed.

    `status` is `pending`, `processing`, `completed`, `failed` or `cancelled`;
    `progress` goes from 0 to 1; `eta_seconds` is about how long the job still takes.
    `gain` is the factor that kept the stems from clipping, 1 when none was needed. What
    an older server does not tell is None.
    """

    status: str
    progress: float = 0.0
    stage: str | None = None
    stems: tuple[RemoteStem, ...] = ()
    model: str | None = None
    gain: float = 1.0
    error: str | None = None
    eta_seconds: float | None = None
    duration_seconds: float | None = None


def read_ticket(answer: Mapping[str, Any], base_url: str) -> Ticket:
    """Read what names the job in the server's answer; ValueError if nothing does.

    The server may send its clients elsewhere to poll (`hf_space_url`).
    """
    job_id, elsewhere = _text(answer.get("job_id")), _text(answer.get("hf_space_url"))
    if job_id is None or not _is_plain(job_id):
        raise ValueError(f"{job_id!r} is no id of a job")
    return Ticket(job_id, elsewhere or base_url)


def read_job(answer: Mapping[str, Any], base_url: str) -> RemoteJob:
    """Read a job from the server's answer; ValueError if it is none."""
    stems = answer.get("stems") or {}
    if not isinstance(answer.get("status"), str) or not isinstance(stems, Mapping):
        raise ValueError("a job has a status and, in the end, stems")
    return RemoteJob(
        status=answer["status"],
        progress=_number(answer.get("progress"), 0.0) / 100,
        stage=_text(answer.get("stage")),
        stems=tuple(_read_stem(name, stem, base_url) for name, stem in stems.items()),
        model=_text(answer.get("model")),
        gain=_number(answer.get("gain"), 1.0),
        error=_text(answer.get("error")),
        eta_seconds=_optional_number(answer.get("eta_seconds")),
        duration_seconds=_optional_number(answer.get("duration")),
    )


def _read_stem(name: str, stem: Any, base_url: str) -> RemoteStem:
    if not isinstance(stem, Mapping) or not isinstance(stem.get("download_url"), str):
        raise ValueError("a stem has a download_url")
    size = stem.get("size")
    # The names come from elsewhere: they must not lead out of the output directory.
    suffix = PurePath(str(stem.get("filename", ""))).suffix
    if not _is_plain(name) or (suffix and not _is_plain(suffix[1:])):
        raise ValueError(f"{name!r} is no name of a stem")
    return RemoteStem(
        name=name,
        suffix=suffix,
        url=urljoin(f"{base_url.rstrip('/')}/", stem["download_url"].lstrip("/")),
        size_bytes=size if isinstance(size, int) else None,
        sha256=_text(stem.get("sha256")),
    )


def _is_plain(text: str) -> bool:
    return text.isascii() and text.replace("_", "").replace("-", "").isalnum()


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _number(value: Any, default: float) -> float:
    number = _optional_number(value)
    return default if number is None else number


def _optional_number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None
