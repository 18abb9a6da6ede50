"""One device, many songs: batches filled from all of them whenever it is free."""

import logging
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Condition, Thread

from torch import Tensor, stack

from serve_app.separation.backends.port import OutOfMemory

logger = logging.getLogger(__name__)

Forward = Callable[[Tensor], Tensor]
_Request = tuple[Tensor, Future[Tensor]]


@dataclass
class _Song:
    """A song's windows that wait, and how many it has had, divided by its weight."""

    weight: int
    had: float = 0.0
    requests: deque[_Request] = field(default_factory=deque)


class Batcher:
    """Runs `forward` on windows (2, window) in batches of at most `max_windows`.

    `forward` maps (batch, 2, window) to (batch, source, 2, window) and is only ever
    called from the batcher's own threads, one a stream. A batch is taken when one is
    free, never waited for, and shared out among the songs by their weights, however
    long those are: the next window is one of the song that has had least for its weight
    (stride scheduling; Waldspurger and Weihl 1995). Songs of one weight take turns.
    """

    def __init__(self, forward: Forward, max_windows: int, streams: int = 1) -> None:
        if max_windows < 1:
            raise ValueError("max_windows must be at least 1")
        self._forward = forward
        self._max_windows = max_windows
        self._changed = Condition()
        self._songs: dict[Hashable, _Song] = {}
        # What the song that was served last had had by then: a song that comes, or
        # comes back, starts there, and has no claim on what was before.
        self._had = 0.0
        self._closed = False
        self._windows_served = 0
        self._threads = [
            Thread(target=self._serve, name=f"batcher-{stream}", daemon=True)
            for stream in range(streams)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def max_windows(self) -> int:
        """How many windows a batch may have: fewer once the device ran out of room."""
        return self._max_windows

    @property
    def windows_served(self) -> int:
        """How many windows have been through the network, failed ones included."""
        return self._windows_served

    def submit(
        self, song_id: Hashable, window: Tensor, weight: int = 1
    ) -> Future[Tensor]:
        """Queue a window (2, window) of a song; the future has (source, 2, window).

        The weight that counts is that of a song's first window. An exception of
        `forward` is the future's exception. After `close` the future is cancelled at
        once.
        """
        future: Future[Tensor] = Future()
        with self._changed:
            if self._closed:
                _cancel(future)
                return future
            song = self._songs.setdefault(song_id, _Song(weight))
            if not song.requests:
                song.had = max(song.had, self._had)
            song.requests.append((window, future))
            self._changed.notify()
        return future

    def forget(self, song_id: Hashable) -> None:
        """Drop a song and its waiting windows, whose futures are cancelled."""
        with self._changed:
            song = self._songs.pop(song_id, None)
        for _, future in song.requests if song else ():
            _cancel(future)

    def close(self) -> None:
        """Finish the batches that run, cancel what waits, and end the threads."""
        with self._changed:
            self._closed = True
            songs = list(self._songs)
            self._changed.notify_all()
        for song_id in songs:
            self.forget(song_id)
        for thread in self._threads:
            thread.join()

    def _serve(self) -> None:
        while not self._closed:
            if batch := self._next_batch():
                self._run(batch)

    def _next_batch(self) -> list[_Request]:
        """Wait for windows and take a batch of them; an empty one after `close`."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._waiting())
            batch: list[_Request] = []
            while len(batch) < self._max_windows and not self._closed:
                waiting = self._waiting()
                if not waiting:
                    break
                song = min(waiting, key=lambda one: one.had)
                window, future = song.requests.popleft()
                # False if whoever has the future has cancelled it.
                if future.set_running_or_notify_cancel():
                    self._had = song.had
                    song.had += 1 / song.weight
                    batch.append((window, future))
            return batch

    def _waiting(self) -> list[_Song]:
        """Return the songs that have windows to run, the first comer first."""
        return [song for song in self._songs.values() if song.requests]

    def _run(self, batch: Sequence[_Request]) -> None:
        try:
            stems = self._forward(stack([window for window, _ in batch]))
        except OutOfMemory as err:
            self._run_halved(batch, err)
            return
        except Exception as err:
            self._run_apart(batch, err)
            return
        self._count(len(batch))
        for (_, future), part in zip(batch, stems, strict=True):
            # A view would keep the whole batch alive as long as any part of it.
            future.set_result(part.clone() if len(batch) > 1 else part)

    def _count(self, windows: int) -> None:
        with self._changed:
            self._windows_served += windows

    def _run_halved(self, batch: Sequence[_Request], err: OutOfMemory) -> None:
        """Run what was too large in halves, and let no later batch be as large."""
        if len(batch) == 1:
            self._run_apart(batch, err)
            return
        half = len(batch) // 2
        with self._changed:
            self._max_windows = max(1, min(self._max_windows, half))
        logger.warning(
            "the device has no room for %d windows: %s. A batch has at most %d now",
            *(len(batch), err, self._max_windows),
        )
        self._run(batch[:half])
        self._run(batch[half:])

    def _run_apart(self, batch: Sequence[_Request], err: Exception) -> None:
        """Run a failed batch again, window by window, so that one can't fail others."""
        if len(batch) > 1:
            for request in batch:
                self._run([request])
            return
        self._count(1)
        for _, future in batch:
            future.set_exception(err)


def _cancel(future: Future[Tensor]) -> None:
    future.cancel()
    # Without this, `concurrent.futures.wait` goes on waiting.
    future.set_running_or_notify_cancel()
