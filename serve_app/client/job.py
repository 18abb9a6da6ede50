"""A job of a server, as a client gets it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any
from urllib.parse import urljoin

_OVER = ("completed", "failed", "cancelled")


@dataclass(frozen=True)
class Ticket:
    """A job that the server accepted: its id, and the base URL of the server to poll.

    Store both strings to continue with the job in another process.
    """

    job_id: str
    base_url: str

    @property
    def url(self) -> str:
        """The address of the job."""
        return f"{self.base_url.rstrip('/')}/job/{self.job_id}"


@dataclass(frozen=True)
class RemoteStem:
    """A stem to download. Its name and suffix are safe in a file name."""

    name: str
    suffix: str
    url: str
    size_bytes: int | None = None
    sha256: str | None = None

    @property
    def filename(self) -> str:
        """The name of the downloaded file, such as `drums.wav`."""
        return f"{self.name}{self.suffix}"


@dataclass(frozen=True)
class RemoteJob:
    """The state of a job at one poll, with its stems once it is completed.

    `status` is `pending`, `processing`, `completed`, `failed` or `cancelled`;
    `progress` goes from 0 to 1; `eta_seconds` estimates the time left. `gain` is the
    factor applied to all stems to prevent clipping, 1 if none was needed. Fields that
    an older server does not send are None.
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

    @property
    def is_over(self) -> bool:
        """Whether it is completed, failed or cancelled."""
        return self.status in _OVER


def read_ticket(body: Mapping[str, Any], base_url: str) -> Ticket:
    """Read a ticket from the body of a response; raises ValueError without a job id.

    `hf_space_url` in the body, if not empty, is the base URL to poll instead.
    """
    job_id, poll_url = _text(body.get("job_id")), _text(body.get("hf_space_url"))
    if job_id is None or not _is_plain(job_id):
        raise ValueError(f"{job_id!r} is not a valid job id")
    return Ticket(job_id, poll_url or base_url)


def read_job(body: Mapping[str, Any], base_url: str) -> RemoteJob:
    """Read a job from the body of a response; raises ValueError if it is not valid."""
    stems = body.get("stems") or {}
    if not isinstance(body.get("status"), str) or not isinstance(stems, Mapping):
        raise ValueError('a job must have a "status", and "stems" must be an object')
    return RemoteJob(
        status=body["status"],
        progress=_number(body.get("progress"), 0.0) / 100,
        stage=_text(body.get("stage")),
        stems=tuple(_read_stem(name, stem, base_url) for name, stem in stems.items()),
        model=_text(body.get("model")),
        gain=_number(body.get("gain"), 1.0),
        error=_text(body.get("error")),
        eta_seconds=_optional_number(body.get("eta_seconds")),
        duration_seconds=_optional_number(body.get("duration")),
    )


def _read_stem(name: str, stem: Any, base_url: str) -> RemoteStem:
    if not isinstance(stem, Mapping) or not isinstance(stem.get("download_url"), str):
        raise ValueError('a stem must have a "download_url"')
    size = stem.get("size")
    # The server's names become file names: they must not leave the output directory.
    suffix = PurePath(str(stem.get("filename", ""))).suffix
    if not _is_plain(name) or (suffix and not _is_plain(suffix[1:])):
        raise ValueError(f"{name!r} is not a valid stem name")
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
