"""Fill batches for one device with windows of many songs."""

import logging
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Condition, Thread

from torch import Tensor, stack

from serve_app.separation.backends.port import OutOfMemory

logger = logging.getLogger(__name__)

Forward = Callable[[Tensor], Tensor]
# Gets a batch's number of windows as a share of the most that fit, and its seconds.
OnBatch = Callable[[float, float], None]
_Request = tuple[Tensor, Future[Tensor]]


@dataclass(eq=False)
class _Song:
    """A song's queued windows, and its number of served windows over its weight."""

    owner: "_Owner"
    weight: int
    virtual_time: float = 0.0
    requests: deque[_Request] = field(default_factory=deque)
    device_seconds: float = 0.0


@dataclass(eq=False)
class _Owner:
    """An owner's songs, and the number of its served windows.

    `songs_time` is the virtual time of its song that was served last. New and returning
    songs start from it, so that they have no claim on the past.
    """

    virtual_time: float = 0.0
    songs_time: float = 0.0
    songs: dict[Hashable, _Song] = field(default_factory=dict)

    def waiting(self) -> list[_Song]:
        """Return the songs with queued windows, in order of their arrival."""
        return [song for song in self.songs.values() if song.requests]


@dataclass(frozen=True)
class _Taken:
    """A window in a batch, its song, and the future of its stems."""

    song: _Song
    window: Tensor
    future: Future[Tensor]


class Batcher:
    """Runs `forward` on windows (2, window) in batches of at most `max_windows`.

    `forward` maps (batch, 2, window) to (batch, source, 2, window), and is called only
    in the batcher's own threads, one for each stream. A free thread takes the queued
    windows without waiting for a full batch. The next window is from the owner with the
    least service, and from that one's song with the least service for its weight
    (stride scheduling; Waldspurger and Weihl 1995). So owners share the device equally,
    whatever their number of songs, and songs of one owner by weight, not by length.
    `on_batch` is called after each batch, in these threads, and must not raise.
    """

    def __init__(
        self,
        forward: Forward,
        max_windows: int,
        streams: int = 1,
        on_batch: OnBatch = lambda *_: None,
    ) -> None:
        if max_windows < 1:
            raise ValueError(f"max_windows must be at least 1, got {max_windows}")
        self._forward = forward
        self._on_batch = on_batch
        self._max_windows = max_windows
        self._changed = Condition()
        self._streams = streams
        self._songs: dict[Hashable, _Song] = {}
        self._owners: dict[Hashable, _Owner] = {}
        # That of the owner served last: as `_Owner.songs_time`.
        self._virtual_time = 0.0
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
        """The most windows in a batch; shrinks when the device runs out of memory."""
        return self._max_windows

    @property
    def windows_served(self) -> int:
        """The number of windows run through the network, including failed ones."""
        return self._windows_served

    def submit(
        self,
        song_id: Hashable,
        window: Tensor,
        weight: int = 1,
        owner_id: Hashable = "",
    ) -> Future[Tensor]:
        """Queue a window (2, window) of a song; the result is (source, 2, window).

        The weight and the owner of a song's first window count. The future gets the
        exception of `forward`, if any; after `close` it is cancelled at once.
        """
        future: Future[Tensor] = Future()
        with self._changed:
            if self._closed:
                _cancel(future)
                return future
            song = self._song(song_id, weight, owner_id)
            owner = song.owner
            if not owner.waiting():
                owner.virtual_time = max(owner.virtual_time, self._virtual_time)
            if not song.requests:
                song.virtual_time = max(song.virtual_time, owner.songs_time)
            song.requests.append((window, future))
            self._changed.notify()
        return future

    def _song(self, song_id: Hashable, weight: int, owner_id: Hashable) -> _Song:
        if song_id not in self._songs:
            owner = self._owners.setdefault(owner_id, _Owner())
            self._songs[song_id] = owner.songs[song_id] = _Song(owner, weight)
        return self._songs[song_id]

    def forget(self, song_id: Hashable) -> float:
        """Drop a song and cancel the futures of its queued windows.

        Returns the seconds of the device that it took: its share of each batch.
        """
        with self._changed:
            song = self._songs.pop(song_id, None)
            if song is None:
                return 0.0
            del song.owner.songs[song_id]
            self._owners = {
                owner_id: owner
                for owner_id, owner in self._owners.items()
                if owner.songs
            }
        for _, future in song.requests:
            _cancel(future)
        return song.device_seconds

    def close(self) -> None:
        """Finish the running batches, cancel queued windows, and end the threads."""
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

    def _next_batch(self) -> list[_Taken]:
        """Wait for windows and return a batch of them; an empty one after `close`."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._waiting())
            batch: list[_Taken] = []
            while len(batch) < self._max_windows and not self._closed:
                waiting = self._waiting()
                if not waiting:
                    break
                owner = min(waiting, key=lambda one: one.virtual_time)
                song = min(owner.waiting(), key=lambda one: one.virtual_time)
                window, future = song.requests.popleft()
                # False if the future was cancelled.
                if future.set_running_or_notify_cancel():
                    self._virtual_time = owner.virtual_time
                    owner.songs_time = song.virtual_time
                    owner.virtual_time += 1
                    song.virtual_time += 1 / song.weight
                    batch.append(_Taken(song, window, future))
            return batch

    def _waiting(self) -> list[_Owner]:
        """Return the owners with queued windows, in order of their arrival."""
        return [owner for owner in self._owners.values() if owner.waiting()]

    def _run(self, batch: Sequence[_Taken]) -> None:
        began = time.perf_counter()
        try:
            stems = self._forward(stack([each.window for each in batch]))
        except OutOfMemory as err:
            self._run_halved(batch, err)
            return
        except Exception as err:
            self._run_one_by_one(batch, err)
            return
        seconds = time.perf_counter() - began
        # A stream has its part of the device.
        self._count(batch, seconds / self._streams)
        for each, window in zip(batch, stems, strict=True):
            # A view would keep the whole batch in memory.
            each.future.set_result(window.clone() if len(batch) > 1 else window)
        self._on_batch(len(batch) / self._max_windows, seconds)

    def _count(self, batch: Sequence[_Taken], seconds: float) -> None:
        with self._changed:
            self._windows_served += len(batch)
            for each in batch:
                each.song.device_seconds += seconds / len(batch)

    def _run_halved(self, batch: Sequence[_Taken], err: OutOfMemory) -> None:
        """Run a batch that was too large in halves, and limit later batches."""
        if len(batch) == 1:
            self._run_one_by_one(batch, err)
            return
        half = len(batch) // 2
        with self._changed:
            self._max_windows = max(1, min(self._max_windows, half))
        logger.warning(
            "batch exceeds device memory windows=%d max_windows=%d error=%s",
            *(len(batch), self._max_windows, err),
        )
        self._run(batch[:half])
        self._run(batch[half:])

    def _run_one_by_one(self, batch: Sequence[_Taken], err: Exception) -> None:
        """Run a failed batch again window by window, to isolate the failing one."""
        if len(batch) > 1:
            for each in batch:
                self._run([each])
            return
        self._count(batch, 0.0)
        for each in batch:
            each.future.set_exception(err)


def _cancel(future: Future[Tensor]) -> None:
    future.cancel()
    # `concurrent.futures.wait` would not return without this.
    future.set_running_or_notify_cancel()
