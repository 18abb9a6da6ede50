"""The jobs that the clients know, shared by all of them."""

import random
import time
from collections import deque
from threading import Lock

_RECENT = 20
# Older ones may have expired.
_RECENT_SECONDS = 30.0
_CANCEL_AFTER_SECONDS = 1.0


class Jobs:
    """The jobs that were sent; thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._recent: deque[tuple[float, str]] = deque(maxlen=_RECENT)
        self._to_download: deque[tuple[float, str]] = deque(maxlen=_RECENT)
        self._to_cancel: deque[tuple[float, str]] = deque()
        self._cancelled = set[str]()
        # What is left of the shares of jobs that were not cancelled.
        self._owed = 0.0

    def add(self, job_id: str, cancelled_share: float = 0.0) -> None:
        """Add a job that was sent; this share of all jobs is to be cancelled soon."""
        with self._lock:
            self._recent.append((time.monotonic(), job_id))
            self._owed += cancelled_share
            if self._owed >= 1:
                self._owed -= 1
                due = time.monotonic() + _CANCEL_AFTER_SECONDS
                self._to_cancel.append((due, job_id))
            else:
                self._to_download.append((time.monotonic(), job_id))

    def any(self) -> str | None:
        """Return one of the newest jobs that were not cancelled, or None."""
        oldest = time.monotonic() - _RECENT_SECONDS
        with self._lock:
            recent = [each for at, each in self._recent if at >= oldest]
            left = [each for each in recent if each not in self._cancelled]
        return random.choice(left) if left else None

    def take_to_download(self) -> str | None:
        """Take a job that no one has taken yet and that is not too old, or None."""
        oldest = time.monotonic() - _RECENT_SECONDS
        with self._lock:
            while self._to_download:
                at, job_id = self._to_download.popleft()
                if at >= oldest:
                    return job_id
            return None

    def take_to_cancel(self) -> str | None:
        """Take a job that is due to be cancelled, or None; it counts as cancelled."""
        with self._lock:
            if not self._to_cancel or self._to_cancel[0][0] > time.monotonic():
                return None
            _, job_id = self._to_cancel.popleft()
            self._cancelled.add(job_id)
            return job_id

    def is_cancelled(self, job_id: str) -> bool:
        """Whether a job was cancelled: 404 is the right response to its id then."""
        with self._lock:
            return job_id in self._cancelled
