"""Mixes of a job's stems: which one is requested, and where it is stored.

A mix is a derived file of its job. Its name is a digest of what it is made of, so that
the same mix is made once. A record beside it, as JSON, is written last.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from serve_app.audio import formats
from serve_app.errors import InvalidInput, TooManyRequests
from serve_app.filenames import titles
from serve_app.stems.kind import DERIVED
from serve_app.stems.request import SeparationJob
from serve_app.storage.port import Storage, StoredFile

# A client can request any number of mixes; each may be as long as its song.
MOST_KEPT = 8
# Until then a mix is downloaded, or has a URL that works: no other takes its place.
KEPT_AT_LEAST = timedelta(minutes=1)
# -120 dB. A stem that is quieter can't be heard, and the smallest numbers are no
# samples of 32 bits: the mix would be silent.
LEAST_GAIN = 1e-6

_PREFIX, _RECORD_SUFFIX = "mix-", ".json"
_ID_CHARACTERS = 32
# Changes whenever the same request would give another file.
_VERSION = 1


@dataclass(frozen=True)
class MixRequest:
    """A mix to make of a completed job: the gains of its stems that are not silent."""

    job: SeparationJob
    gains: Mapping[str, float]
    format: str

    @property
    def id(self) -> str:
        """The name of this mix among those of its job."""
        content = [_VERSION, sorted(self.gains.items()), self.format]
        digest = hashlib.sha256(json.dumps(content).encode()).hexdigest()
        return digest[:_ID_CHARACTERS]

    @property
    def label(self) -> str:
        """The names of the stems in it, such as `drums + bass`."""
        return " + ".join(self.gains)

    @property
    def filename(self) -> str:
        """The file name of a download: `Song (drums + bass).wav`."""
        suffix = formats.parse(self.format).suffix
        title = self.job.request.source.filename
        return titles.file_name(title, f" ({self.label}){suffix}")


@dataclass(frozen=True)
class Mix:
    """A finished mix: its file, and the factor that keeps it below full scale."""

    id: str
    format: str
    filename: str
    size_bytes: int
    gain: float


def request_of(
    job: SeparationJob, gains: Mapping[str, float], format: str
) -> MixRequest:
    """Return the request for a mix of a completed job, its stems in the job's order.

    Stems without a gain are silent. Raises InvalidInput for stems that the job does not
    have, for gains that are too small, for a mix of silence, and for an unknown format.
    """
    names = [stem.name for stem in job.result.stems] if job.result is not None else []
    unknown = [name for name in gains if name not in names]
    if unknown:
        raise InvalidInput(
            f'"gains" has {unknown[0][:40]!r}, which is not a stem of this job. Its '
            f"stems are {', '.join(names)}."
        )
    for name, gain in gains.items():
        if 0.0 < gain < LEAST_GAIN:
            raise InvalidInput(
                f'"gains.{name}" must be 0, or from {LEAST_GAIN:f} (-120 dB) to 2, got '
                f"{gain:g}."
            )
    heard = {name: gains[name] for name in names if gains.get(name, 0.0) > 0.0}
    if not heard:
        raise InvalidInput(
            'All stems in "gains" are silent. Give at least one a gain above 0.'
        )
    return MixRequest(job, heard, formats.parse(format).name)


def file_key(job_id: str, mix_id: str, format: str) -> str:
    """Return the key of a mix's file."""
    return f"{_folder(job_id)}/{_PREFIX}{mix_id}{formats.parse(format).suffix}"


def record_key(job_id: str, mix_id: str) -> str:
    """Return the key of a mix's record."""
    return f"{_folder(job_id)}/{_PREFIX}{mix_id}{_RECORD_SUFFIX}"


def is_id(text: str) -> bool:
    """Whether a text can be the id of a mix, and so be part of a key."""
    return len(text) == _ID_CHARACTERS and not set(text) - set("0123456789abcdef")


def find(storage: Storage, job_id: str, mix_id: str) -> tuple[Mix, StoredFile] | None:
    """Return a finished mix and its file, or None.

    A file that a power failure has cut short does not count.
    """
    try:
        record = b"".join(storage.read(record_key(job_id, mix_id)))
        facts: dict[str, Any] = json.loads(record)
        mix = Mix(**facts)
        file = storage.stat(file_key(job_id, mix_id, mix.format))
    except (FileNotFoundError, ValueError, TypeError, InvalidInput):
        return None
    return (mix, file) if file.size_bytes == mix.size_bytes else None


def make_room(storage: Storage, job_id: str, others: int, now: datetime) -> None:
    """Delete the oldest mixes of a job, so that one more can be kept.

    `others` is how many are being made. Raises TooManyRequests if these and the mixes
    of the last minute leave no room.
    """
    records = sorted(_records(storage, job_id), key=lambda file: file.modified_at)
    old = [file for file in records if file.modified_at <= now - KEPT_AT_LEAST]
    excess = len(records) + others + 1 - MOST_KEPT
    if excess > len(old):
        raise TooManyRequests(
            f"At most {MOST_KEPT} mixes of a job can be made in a minute. Download "
            "those that are ready, and send this request again in a minute."
        )
    for record in old[: max(0, excess)]:
        name = record.key.removesuffix(_RECORD_SUFFIX)
        # First the record: without it the mix does not exist.
        storage.delete(record.key)
        for suffix in {each.suffix for each in formats.FORMATS.values()}:
            storage.delete(f"{name}{suffix}")


def _records(storage: Storage, job_id: str) -> Iterable[StoredFile]:
    start = f"{_folder(job_id)}/{_PREFIX}"
    for file in storage.list(_folder(job_id)):
        if file.key.startswith(start) and file.key.endswith(_RECORD_SUFFIX):
            yield file


def _folder(job_id: str) -> str:
    return f"{DERIVED}/{job_id}"
