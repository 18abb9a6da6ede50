"""Mixes of a job's stems: which one is requested, and where it is stored.

A mix is a derived file of its job. Its name is a digest of what it is made of, so that
the same mix is made once. A record beside it, as JSON, is written last.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from serve_app.audio import formats
from serve_app.errors import InvalidInput
from serve_app.filenames import titles
from serve_app.stems.kind import DERIVED
from serve_app.stems.request import SeparationJob
from serve_app.storage.port import Storage, StoredFile

# A client can request any number of mixes; each may be as long as its song.
MOST_KEPT = 8

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
    have, for a mix of silence, and for an unknown format.
    """
    names = [stem.name for stem in job.result.stems] if job.result is not None else []
    unknown = [name for name in gains if name not in names]
    if unknown:
        raise InvalidInput(
            f'"gains" has {unknown[0][:40]!r}, which is not a stem of this job. Its '
            f"stems are {', '.join(names)}."
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


def delete_oldest(storage: Storage, job_id: str, most: int) -> None:
    """Delete the oldest mixes of a job until it has `most`."""
    records = sorted(_records(storage, job_id), key=lambda file: file.modified_at)
    for record in records[: max(0, len(records) - most)]:
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
