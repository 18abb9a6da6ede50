"""Live playback: a stem of a song while it is still being separated."""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from itertools import chain, islice, pairwise
from math import gcd
from threading import Event

import numpy as np
from numpy.typing import NDArray

from serve_app.audio.decode import BLOCK_SAMPLES, regrouped
from serve_app.audio.encode import encoded_rate
from serve_app.audio.formats import parse
from serve_app.audio.resample import exactly, resampled, resampled_samples
from serve_app.audio.seek import read_from
from serve_app.audio.wave import PCM16, WavForm
from serve_app.errors import Cancelled, NotReady
from serve_app.jobs.job import State
from serve_app.separation.level import Level, restored
from serve_app.separation.overlap_add import join
from serve_app.separation.windows import plan
from serve_app.stems import stored_windows, view
from serve_app.stems.mixing import mixed, stem_sources
from serve_app.stems.request import SeparationJob, StemFile
from serve_app.storage.port import Storage
from serve_app.storage.reader import StoredFileReader

Samples = NDArray[np.float32]

Starts = tuple[int, ...]

POLL_SECONDS = 0.25
# Windows before the one with a sample from which it is joined as from the start.
_LEAD_WINDOWS = 2
# Longer than any resampler's filter.
_FILTER_SECONDS = 1


class Follower:
    """Read a stem of one job: its windows as they are stored, then the finished file.

    `look` returns the current state of the job. The windows are those of the engine of
    the running attempt when the first window is read: if a later attempt has another
    engine, the rest comes from the finished file. All methods block, and are for one
    thread at a time.
    """

    def __init__(
        self,
        look: Callable[[], SeparationJob],
        storage: Storage,
        stem: str,
        form: WavForm = PCM16,
    ) -> None:
        self._look = look
        self._storage = storage
        self._stem = stem
        self._form = form
        self._stopped = Event()
        self._job = look()
        self._layout: stored_windows.Layout | None = None
        self._next_window = 0

    def stop(self) -> None:
        """Make `blocks` end soon, with Cancelled."""
        self._stopped.set()

    def is_ready(self) -> bool:
        """Whether `blocks` would not wait: the next block is ready, or it ends."""
        self._job = self._look()
        if view.is_over(self._job):
            return True
        self._layout = self._layout or self._found_layout()
        if self._layout is None:
            return False
        place = stored_windows.key(self._job.id, self._layout.engine, self._next_window)
        try:
            self._storage.stat(place)
        except FileNotFoundError:
            return False
        return True

    @property
    def size_bytes(self) -> int:
        """The size of the whole wav."""
        return self._form.size_bytes(self._job.request.source.samples)

    def chunks(self, start_bytes: int = 0) -> Iterator[bytes]:
        """Yield `blocks` as a wav, from a byte on; 16 bits clip over full scale.

        Chunks can be empty.
        """
        source, form = self._job.request.source, self._form
        header = form.header(source.samples, source.sample_rate)
        yield header[start_bytes:]
        start_bytes = max(0, start_bytes - len(header))
        sample, behind = divmod(start_bytes, form.frame_bytes)
        for block in self.blocks(sample):
            data = form.data(block)
            yield data[behind:]
            behind = max(0, behind - len(data))

    def blocks(self, start: int = 0) -> Iterator[Samples]:
        """Yield the stem from a sample on, in blocks (2, n) at the song's rate.

        The samples are those of the finished file without its gain, which is known at
        the end only: they can exceed full scale. They do not depend on `start`. Blocks
        can be empty, so that this never waits longer than for one window. Raises
        NotReady when the job ends without stems.
        """
        samples = self._job.request.source.samples
        try:
            self._wait()
            begin, blocks = self._at_the_songs_rate(start)
            for block in _after(start - begin, exactly(blocks, samples - begin)):
                yield block
                start += block.shape[-1]
        except _JobIsOverError:
            yield from self._rest(start)

    def _at_the_songs_rate(self, start: int) -> tuple[int, Iterator[Samples]]:
        """Return the stem from a sample at or before `start` on, and that sample."""
        if (layout := self._layout) is None:
            raise _JobIsOverError
        source = self._job.request.source
        rates = (source.sample_rate, layout.sample_rate)
        length = max(1, resampled_samples(source.samples, *rates))
        starts, first = plan(length, layout.window), 0
        if source.sample_rate == layout.sample_rate:
            # A resampler has a state, which only all samples before can bring about.
            first = max(0, bisect_right(starts, start) - 1 - _LEAD_WINDOWS)
        (wanted,) = stem_sources(layout.sources, (self._stem,))
        blocks = self._restored(layout, length, starts, first)
        stems = (mixed(block, (wanted,))[0] for block in blocks)
        return starts[first], resampled(stems, layout.sample_rate, source.sample_rate)

    def _restored(
        self, layout: stored_windows.Layout, length: int, starts: Starts, first: int
    ) -> Iterator[Samples]:
        """Yield the sources from the window `first` on, at the song's level.

        The same order as in the pipeline, for bit-identical samples.
        """
        source = self._job.request.source
        level = Level(source.mean, source.deviation, source.side_mean)
        if not first:
            windows = self._windows(layout.engine, range(len(starts)))
            yield from restored(join(windows, length, layout.window), level)
            return
        windows = self._windows(layout.engine, (0, *range(first, len(starts))))
        # The beginning of a song decides the level of the rest.
        beginning = (window[..., : starts[1]] for window in islice(windows, 1))
        rest = join(windows, length, layout.window, first)
        blocks = restored(chain(beginning, rest), level)
        yield next(blocks)[..., :0]
        yield from blocks

    def _windows(self, engine: str, indices: Sequence[int]) -> Iterator[Samples]:
        for index, following in pairwise((*indices, indices[-1] + 1)):
            self._next_window = index
            self._wait()
            stems = stored_windows.load(self._storage, self._job.id, engine, index)
            if stems is None:
                raise _JobIsOverError
            self._next_window = following
            yield stems

    def _wait(self) -> None:
        while not self.is_ready():
            if self._stopped.wait(POLL_SECONDS):
                raise Cancelled("The playback was stopped.")
        if view.is_over(self._job):
            raise _JobIsOverError

    def _found_layout(self) -> stored_windows.Layout | None:
        """Return the layout of the windows of the attempt that runs."""
        job = self._job
        if job.state is not State.RUNNING:
            return None
        return stored_windows.find_layout(self._storage, job.id, job.attempt)

    def _rest(self, position: int) -> Iterator[Samples]:
        """Yield the stem from sample `position` on, from the finished file."""
        while not view.is_over(job := self._look()):
            # The windows are deleted shortly before the stems are published.
            if self._stopped.wait(POLL_SECONDS):
                raise Cancelled("The playback was stopped.")
        if job.state is not State.SUCCEEDED or job.result is None:
            reason = job.error or view.status(job).value
            raise NotReady(f"The job ended without stems: {reason}")
        (stem,) = (one for one in job.result.stems if one.name == self._stem)
        for block in self._of_file(job, stem, position):
            yield block / np.float32(job.result.gain)

    def _of_file(
        self, job: SeparationJob, stem: StemFile, position: int
    ) -> Iterator[Samples]:
        """Yield a finished stem from a sample on, at the song's rate."""
        source, form = job.request.source, parse(job.request.options.format)
        from_hz = encoded_rate(form, source.sample_rate)
        first, begin = _starts(position, from_hz, source.sample_rate)
        file = StoredFileReader(self._storage, stem.key, stem.size_bytes)
        with closing(read_from(file, form, first)) as decoded:
            blocks = regrouped(decoded, BLOCK_SAMPLES)
            stems = resampled(blocks, from_hz, source.sample_rate)
            rest = exactly(stems, source.samples - begin)
            yield from _after(position - begin, rest)


def _starts(position: int, from_hz: int, to_hz: int) -> tuple[int, int]:
    """Return where to start reading at `from_hz`, and that sample at `to_hz`.

    There a resampler is in the same phase as from the start, and it is early enough for
    its filter: measured with soxr, the 16-bit samples from `position` on are the same.
    """
    if from_hz == to_hz:
        return position, position
    common = gcd(from_hz, to_hz)
    periods = max(0, position - _FILTER_SECONDS * to_hz) // (to_hz // common)
    return periods * (from_hz // common), periods * (to_hz // common)


def _after(samples: int, blocks: Iterator[Samples]) -> Iterator[Samples]:
    """Yield the blocks without their first `samples`; the first ones may be empty."""
    for block in blocks:
        behind = min(samples, block.shape[-1])
        samples -= behind
        yield block[..., behind:]


class _JobIsOverError(Exception):
    """The job is over: no more windows will be stored."""
