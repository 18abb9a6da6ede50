"""Separate many songs at once with one network: mix blocks in, stem blocks out."""

from collections import deque
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator
from concurrent.futures import CancelledError, Future, wait
from contextlib import closing
from dataclasses import asdict, dataclass
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from threading import Event
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
import torch
from torch import Tensor

from serve_app.errors import Cancelled, Unavailable
from serve_app.separation import weights
from serve_app.separation.backends import choice
from serve_app.separation.backends.port import Backend, BackendFacts, BackendOptions
from serve_app.separation.batcher import Batcher, OnBatch
from serve_app.separation.level import Level, normalised, restored
from serve_app.separation.models import ModelSpec
from serve_app.separation.overlap_add import CHANNELS, Samples, cut, join
from serve_app.separation.polarity import invert_right, is_out_of_phase
from serve_app.separation.threads import run_in_new_thread
from serve_app.separation.windows import plan

OnProgress = Callable[[int, int], None]

# Interval at which a song that waits for the device checks for cancellation.
_CANCEL_POLL_SECONDS = 0.1
# About ten minutes. Longer mixes (DJ sets, concerts) get half the weight of songs.
_LONG_WINDOWS = 64


@dataclass(frozen=True)
class MixStatistics:
    """A song's length at the model's rate, and its level; see `Level`."""

    length: int
    mean: float
    deviation: float
    side_mean: float = 0.0

    def __post_init__(self) -> None:
        if self.length < 1:
            raise ValueError("length must be at least 1 sample")
        _ = self.level  # Refuse an invalid level now, not during the separation.

    @property
    def level(self) -> Level:
        """The normalisation of the mix."""
        return Level(self.mean, self.deviation, self.side_mean)


@dataclass(frozen=True)
class Share:
    """A song's share of the device.

    Owners of songs get equal parts of the device. The songs of one `owner` share its
    part in proportion to their `turns`.
    """

    turns: int = 1
    owner: Hashable = ""


EVEN_SHARE = Share()


@dataclass
class DeviceTime:
    """The seconds of the device that a song took: its share of each batch."""

    seconds: float = 0.0


class KeptWindows(Protocol):
    """A store for the network's stems (source, 2, window) of a song's windows.

    The next attempt at a song does not compute stored windows again.
    """

    def load(self, index: int) -> Samples | None:
        """Return a window's stored stems, or None; the caller may change them."""

    def keep(self, index: int, stems: Samples) -> None:
        """Store a window's stems; the caller changes them afterwards."""


class Engine:
    """Separates songs with one network on one device; thread-safe.

    `max_windows` limits a batch; 0 stands for the backend's default. `weights_sha256`
    distinguishes engines with the same spec but different weights. For `on_batch` see
    `Batcher`.
    """

    def __init__(
        self,
        spec: ModelSpec,
        backend: Backend,
        max_windows: int = 0,
        weights_sha256: str = "",
        on_batch: OnBatch = lambda *_: None,
    ) -> None:
        self.spec = spec
        self._backend = backend
        self._weights_sha256 = weights_sha256
        self._max_windows = max_windows or backend.batch_windows
        streams = backend.facts.streams
        self._batcher = Batcher(backend.forward, self._max_windows, streams, on_batch)
        # One for each stream, and one more for the stream that finishes first.
        self._under_way_batches = streams + 1

    @classmethod
    def load(
        cls,
        spec: ModelSpec,
        path: Path,
        options: BackendOptions,
        max_windows: int = 0,
        on_batch: OnBatch = lambda *_: None,
    ) -> Self:
        """Create an engine with the weights in `path`; raises WeightsUnavailable."""
        window_samples = spec.window.window_samples
        backend = run_in_new_thread(
            lambda: choice.make(weights.load(spec, path), window_samples, options)
        )
        return cls(spec, backend, max_windows, weights.sha256(path), on_batch)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def separate(
        self,
        mix_blocks: Iterable[Samples],
        stats: MixStatistics,
        *,
        on_progress: OnProgress,
        cancelled: Event,
        share: Share = EVEN_SHARE,
        kept: KeptWindows | None = None,
        used: DeviceTime | None = None,
    ) -> Generator[Samples, None, None]:
        """Yield the stems (source, 2, any number) of mix blocks (2, any number).

        The stems have `stats.length` samples: a longer mix is cut, a shorter one padded
        with silence. `on_progress` gets the number of windows done and their total.
        Songs get their `share` of the device; the turns of a long mix count half. At
        the end `used` gets the time that the song took of it. Windows in `kept` are not
        computed again: they must come from an engine of the same `identity`, the same
        mix and the same `stats`. Memory does not grow with the song. Raises Cancelled
        soon after `cancelled` is set, without waiting for the running batch, and
        Unavailable if the engine is closed.
        """
        # Like Demucs, normalise the mix before and scale the stems back afterwards.
        level, blocks = stats.level, normalised(mix_blocks, stats.level)
        windows = cut(blocks, stats.length, self.spec.window)
        total = len(plan(stats.length, self.spec.window))
        weight = share.turns if total > _LONG_WINDOWS else 2 * share.turns
        share, used = Share(weight, share.owner), used or DeviceTime()
        with closing(self._run(windows, share, cancelled, kept, used)) as outputs:
            stems = _reported(outputs, total, on_progress)
            joined = join(stems, stats.length, self.spec.window)
            yield from restored(joined, level)

    def warm_up(self) -> None:
        """Run one window of silence, so that the first song is not slower."""
        window = np.zeros((CHANNELS, self.spec.window.window_samples), np.float32)
        song_id = object()
        self._batcher.submit(song_id, torch.from_numpy(window)).result()
        self._batcher.forget(song_id)
        self._backend.rest()

    @property
    def facts(self) -> BackendFacts:
        """The runtime, precision and device in use."""
        return self._backend.facts

    @property
    def identity(self) -> str:
        """A name shared only by engines that compute the same to the last bit.

        On a GPU, the other windows of a batch can change the last bits too.
        """
        versions = [version(name) for name in ("stemserve", "torch")]
        if self.facts.runtime == "openvino":
            versions.append(version("openvino"))
        parts = (self.spec.window, self.facts, self._weights_sha256, versions)
        return f"{self.spec.name}-{sha256(repr(parts).encode()).hexdigest()[:16]}"

    def describe(self) -> dict[str, Any]:
        """Return the model, its backend and its counters, for `/health`."""
        return {
            "model": self.spec.name,
            "trained_on": self.spec.trained_on,
            "licence": self.spec.licence,
            **asdict(self.facts),
            "batch_windows": self._batcher.max_windows,
            "windows_served": self._batcher.windows_served,
        }

    def close(self) -> None:
        """End the device's threads; songs in progress get Unavailable."""
        self._batcher.close()

    def _run(
        self,
        windows: Iterable[Samples],
        share: Share,
        cancelled: Event,
        kept: KeptWindows | None,
        used: DeviceTime,
    ) -> Generator[Samples, None, None]:
        """Yield the network's stems (source, 2, window) of windows (2, window).

        A song queues at most one batch for each stream, and one more.
        """
        song_id = object()
        pending: deque[_Pending] = deque()
        try:
            for index, window in enumerate(windows):
                stems = kept.load(index) if kept else None
                if stems is None:
                    if is_inverted := is_out_of_phase(window):
                        invert_right(window)
                    mix = torch.from_numpy(window)
                    future = self._batcher.submit(
                        song_id, mix, share.turns, share.owner
                    )
                    pending.append(_Pending(index, future, kept, is_inverted))
                else:
                    pending.append(_Pending(index, _done(stems), None))
                most = self._under_way_batches * self._batcher.max_windows
                if len(pending) >= most:
                    yield pending.popleft().result(cancelled)
            while pending:
                yield pending.popleft().result(cancelled)
        finally:
            used.seconds += self._batcher.forget(song_id)


@dataclass(frozen=True)
class _Pending:
    """A window queued for the network, to be stored in `kept` if given.

    `is_inverted`: its right channel was inverted for the network.
    """

    index: int
    future: Future[Tensor]
    kept: KeptWindows | None
    is_inverted: bool = False

    def result(self, cancelled: Event) -> Samples:
        stems = _result(self.future, cancelled)
        if self.is_inverted:
            invert_right(stems)
        if self.kept is not None:
            self.kept.keep(self.index, stems)
        return stems


def _done(stems: Samples) -> Future[Tensor]:
    future: Future[Tensor] = Future()
    future.set_result(torch.from_numpy(stems))
    return future


def _result(future: Future[Tensor], cancelled: Event) -> Samples:
    """Wait for a window's stems; Cancelled as soon as `cancelled` is set."""
    while not cancelled.is_set():
        if wait([future], timeout=_CANCEL_POLL_SECONDS).done:
            break
    else:
        raise Cancelled("The separation was cancelled.")
    try:
        stems: Samples = future.result().numpy()
    except CancelledError as err:
        raise Unavailable("The separator is shutting down. Try again later.") from err
    return stems


def _reported(
    stems: Iterable[Samples], total: int, on_progress: OnProgress
) -> Iterator[Samples]:
    for done, window in enumerate(stems, start=1):
        on_progress(done, total)
        yield window
