"""A job that runs as long as it must, because its windows are stored here."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

import numpy as np

from serve_app.audio.wave import PCM16
from serve_app.database import Database
from serve_app.jobs.job import Claim, Job, State
from serve_app.jobs.store import JobStore
from serve_app.separation.windows import WindowSpec
from serve_app.stems import stored_windows
from serve_app.stems.kind import separation
from serve_app.stems.live_playback import Follower
from serve_app.stems.request import (
    Options,
    Result,
    SeparationJob,
    SeparationRequest,
    Source,
    Stage,
    StemFile,
)
from serve_app.storage.port import Storage
from tools.cluster.nodes import wait_until

STEM = "drums"
_STEMS = (STEM, "bass", "other", "vocals")
_MODEL, _OWNER, _RATE = "demo", "trial", 44_100
# Small, because each of the players reads each of them from S3.
_WINDOW = WindowSpec(8_192, 2_048)
_WINDOWS = 300
_STEP_SECONDS = 1.0
_LEASE = timedelta(hours=1)
_STORED_SECONDS, _POLL_SECONDS = 60.0, 0.02
SAMPLES = _WINDOW.window_samples + (_WINDOWS - 1) * _WINDOW.hop_samples


class PacedJob:
    """A job that gets a window every second, and the rest of them at `finish`.

    `folder` is for files on their way to `storage`.
    """

    def __init__(self, database: Database, storage: Storage, folder: Path) -> None:
        self._store = JobStore(
            database, lambda: datetime.now(UTC), separation(), lambda *_: None
        )
        self._storage = storage
        self._folder = folder
        self._is_enough = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._job = _job()
        self._error: Exception | None = None
        self._store.add(self._job)

    @property
    def id(self) -> str:
        """The id of the job."""
        return self._job.id

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run the job; finish it when the context exits."""
        self._thread.start()
        try:
            yield
        finally:
            self.finish()

    def finish(self) -> None:
        """Store the windows that are left, and complete the job."""
        self._is_enough.set()
        self._thread.join()
        if self._error is not None:
            raise self._error

    def heard(self) -> bytes:
        """Return the wav of a playback that was never interrupted."""
        follower = Follower(lambda: self._job, self._storage, STEM)
        chunks, heard = follower.chunks(), []
        while follower.is_ready():
            heard.append(next(chunks))
        return b"".join(heard)

    def _run(self) -> None:
        try:
            self._store_windows()
            self._succeed()
        except Exception as error:
            self._error = error

    def _store_windows(self) -> None:
        noise, claim = np.random.default_rng(1), Claim(self.id, _OWNER, 1)
        shape = (len(_STEMS), 2, _WINDOW.window_samples)
        layout = stored_windows.Layout("trial", _STEMS, _RATE, _WINDOW)
        with stored_windows.SongWindows(
            self._storage, self._folder, self.id, 1, layout
        ) as windows:
            for index in range(_WINDOWS):
                windows.keep(index, noise.uniform(-0.5, 0.5, shape).astype(np.float32))
                # It would skip one while too many others wait.
                self._wait_for(index)
                self._store.report(claim, Stage.SEPARATE, (index + 1) / _WINDOWS)
                self._is_enough.wait(_STEP_SECONDS)

    def _wait_for(self, index: int) -> None:
        wait_until(lambda: self._has(index), _STORED_SECONDS, "a window", _POLL_SECONDS)

    def _has(self, index: int) -> bool:
        try:
            self._storage.stat(stored_windows.key(self.id, "trial", index))
        except FileNotFoundError:
            return False
        return True

    def _succeed(self) -> None:
        heard, path = self.heard(), self._folder / "stem.wav"
        path.write_bytes(heard)
        key = f"stems/{self.id}/1/{STEM}.wav"
        self._storage.put(key, path)
        digest = sha256(heard).hexdigest()
        stem = StemFile(STEM, key, "drums.wav", len(heard), digest, "audio/wav")
        self._store.succeed(Claim(self.id, _OWNER, 1), Result(_MODEL, (stem,), 1.0, {}))


def _job() -> SeparationJob:
    """Return a job that runs, with a lease that outlasts the trial."""
    job_id, now = uuid4().hex, datetime.now(UTC)
    source = Source(
        filename="paced.wav",
        key=f"originals/{job_id}",
        size_bytes=PCM16.size_bytes(SAMPLES),
        sha256="00",
        sample_rate=_RATE,
        channels=2,
        samples=SAMPLES,
        mean=0.0,
        deviation=0.2,
    )
    return Job(
        job_id,
        SeparationRequest(source, Options(_MODEL, _STEMS, "wav")),
        State.RUNNING,
        created_at=now,
        updated_at=now,
        cost_seconds=source.duration_seconds,
        owner=_OWNER,
        attempt=1,
        lease_expires_at=now + _LEASE,
    )
