"""Stand-ins for pools and stores that keep what they are asked for."""

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from serve_app.analysis.waveform import Pixels, Span, WaveformListener
from serve_app.errors import UploadNotFound
from serve_app.stems import mixes, reports
from serve_app.stems.mixes import Mix, MixRequest
from serve_app.storage.local import LocalStorage
from serve_app.storage.port import Offer


class StoredReports:
    """Analyzers that store reports of silence, and exports of three bytes."""

    def __init__(self, storage: LocalStorage, directory: Path) -> None:
        self._storage = storage
        self._path = directory / "kept"

    async def analyze_song(self, request: reports.Request) -> dict[str, Any]:
        """Store a report and a waveform, if they have a place."""
        listener = WaveformListener(44_100)
        listener.add(np.zeros((2, 44_100), np.float32))
        if request.place:
            self._keep(reports.waveform_key(request.place), listener.end().to_bytes())
            self._keep(reports.report_key(request.place), b"{}")
        return {"bpm": 120.0, "key": "A minor"}

    analyze_stem = analyze_song

    async def exact_peaks(self, request: reports.Request, span: Span) -> Pixels:
        """Refuse: no test of access asks for them."""
        raise AssertionError(request)

    async def export(self, request: reports.ExportRequest) -> None:
        """Store an export."""
        self._keep(request.key, b"cue")

    async def mix(self, request: MixRequest) -> None:
        """Store a mix of three bytes, and its record."""
        mix = Mix(request.id, request.format, request.filename, 3, 1.0)
        job_id = request.job.id
        self._keep(mixes.file_key(job_id, mix.id, mix.format), b"mix")
        record = json.dumps(asdict(mix)).encode()
        self._keep(mixes.record_key(job_id, mix.id), record)

    def _keep(self, key: str, data: bytes) -> None:
        self._path.write_bytes(data)
        self._storage.put(key, self._path)
        self._path.unlink(missing_ok=True)


class DirectUploads:
    """Direct uploads that were begun, without their parts."""

    seconds = 60

    def __init__(self) -> None:
        self._begun: set[str] = set()

    def begin(self, upload_id: str, filename: str, size_bytes: int) -> Offer:
        """Begin an upload of one part."""
        self._begun.add(upload_id)
        return Offer(size_bytes, ("https://store.example/part",))

    def claimed(self, upload_id: str) -> AbstractContextManager[None]:
        """Lock nothing."""
        return nullcontext()

    def fetch(self, upload_id: str, path: Path, is_wanted: Callable[[], bool]) -> str:
        """Find no file."""
        raise UploadNotFound("There is no such upload.")

    def give_up(self, upload_id: str) -> bool:
        """Forget an upload."""
        if upload_id not in self._begun:
            return False
        self._begun.remove(upload_id)
        return True

    def sweep(self, before: datetime, folders: Sequence[str]) -> int:
        """Delete nothing."""
        return 0
