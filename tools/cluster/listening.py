"""Event streams and playbacks of our client, and how soon they go on after an end."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise

import httpx

from serve_app.client import Client
from serve_app.errors import AppError
from tools.cluster.nodes import wait_until
from tools.cluster.outcome import SUCCEEDED, Streams
from tools.cluster.paced_job import STEM

_OPEN_SECONDS = 120.0
_LAST_SECONDS = 900.0


@dataclass
class Resumptions:
    """How long it took after each end of a stream until the next response came."""

    seconds: list[float] = field(default_factory=list)
    _lost: threading.local = field(default_factory=threading.local)

    def client(self, url: str) -> Client:
        """Return a client whose streams are watched; each has its own thread."""
        client = Client(url, pause=self._pause)
        client._http.event_hooks["response"].append(self._note)
        return client

    def _pause(self, seconds: float) -> None:
        """Wait, as the client does after each end of a stream."""
        if not hasattr(self._lost, "at"):
            self._lost.at = time.monotonic()
        time.sleep(seconds)

    def _note(self, response: httpx.Response) -> None:
        if response.is_success and hasattr(self._lost, "at"):
            self.seconds.append(time.monotonic() - self._lost.at)
            del self._lost.at


class Audience:
    """Listeners and players of one job."""

    def __init__(self, url: str, job_id: str, most: int) -> None:
        self._resumptions = Resumptions()
        self._client = self._resumptions.client(url)
        self._job_id = job_id
        self._threads = ThreadPoolExecutor(most)
        self._started: list[threading.Event] = []
        self._listeners: list[Future[list[float]]] = []
        self._players: list[Future[bytes]] = []

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Close the client at the end, when all streams must have ended."""
        try:
            yield
        finally:
            self._threads.shutdown()
            self._client.close()

    @property
    def resumed(self) -> int:
        """How often a stream went on so far."""
        return len(self._resumptions.seconds)

    def open(self, listeners: int, players: int) -> None:
        """Open more streams; return when each of them has received something."""
        for _ in range(listeners):
            listener = self._threads.submit(self._listen, self._new())
            self._listeners.append(listener)
        for _ in range(players):
            self._players.append(self._threads.submit(self._play, self._new()))
        wait_until(
            lambda: all(each.is_set() for each in self._started),
            _OPEN_SECONDS,
            "streams",
        )

    def result(self, whole: bytes) -> Streams:
        """Wait for the end of all streams. `whole` is what each playback must have."""
        cuts = [
            *filter(None, map(_wrong_events, self._listeners)),
            *filter(None, (_wrong_bytes(each, whole) for each in self._players)),
        ]
        opened = len(self._listeners) + len(self._players)
        return Streams(opened, tuple(self._resumptions.seconds), tuple(cuts))

    def _new(self) -> threading.Event:
        started = threading.Event()
        self._started.append(started)
        return started

    def _listen(self, started: threading.Event) -> list[float]:
        """Return the progress that the events told, to the end of the job."""
        told, status = [], ""
        for job in self._client.events(self._job_id, _LAST_SECONDS):
            started.set()
            told.append(job.progress)
            status = job.status
        if status != SUCCEEDED:
            raise ValueError(f"the last event says {status!r}")
        return told

    def _play(self, started: threading.Event) -> bytes:
        """Return all bytes of a playback."""
        chunks = []
        for chunk in self._client.follow(self._job_id, STEM, _LAST_SECONDS):
            started.set()
            chunks.append(chunk)
        return b"".join(chunks)


def _wrong_events(listener: Future[list[float]]) -> str:
    """Return what was wrong with a stream of events; empty if nothing was."""
    try:
        told = listener.result()
    except (AppError, ValueError) as error:
        return f"events: {error!r}"
    # The last event tells the end, with the progress of the one before or more.
    if any(before >= after for before, after in pairwise(told[:-1])):
        return "events: one came twice, or in another order"
    return ""


def _wrong_bytes(player: Future[bytes], whole: bytes) -> str:
    """Return what was wrong with a playback; empty if nothing was."""
    try:
        heard = player.result()
    except AppError as error:
        return f"playback: {error!r}"
    if heard != whole:
        return f"playback: {len(heard)} bytes, not the {len(whole)} of the stem"
    return ""
