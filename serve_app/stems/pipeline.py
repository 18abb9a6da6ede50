"""The separation of one song: decode, separate, resample, encode."""

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Protocol

from serve_app.audio.decode import read_blocks
from serve_app.audio.formats import StemFormat
from serve_app.audio.resample import exactly, resampled, resampled_samples
from serve_app.audio.stems import StemWriter
from serve_app.separation.engine import (
    EVEN_SHARE,
    DeviceTime,
    Engine,
    KeptWindows,
    MixStatistics,
    Share,
)
from serve_app.stems.mixing import mixed, stem_sources

OnProgress = Callable[[float], None]


class SongFacts(Protocol):
    """The facts of a song that its separation needs before the first window."""

    @property
    def sample_rate(self) -> int: ...
    @property
    def samples(self) -> int: ...
    @property
    def mean(self) -> float: ...
    @property
    def deviation(self) -> float: ...
    @property
    def side_mean(self) -> float: ...


@dataclass(frozen=True)
class SongTask:
    """A song to separate: its file and facts, the stems, their format and directory.

    `share` is its share of the engine; see `Engine.separate`.
    """

    source: Path
    facts: SongFacts
    stems: tuple[str, ...]
    format: StemFormat
    directory: Path
    share: Share = EVEN_SHARE


@dataclass(frozen=True)
class SeparatedSong:
    """The stem files of a song, the gain common to them all, and the device's time."""

    paths: Mapping[str, Path]
    gain: float
    device_seconds: float


def separate_song(
    engine: Engine,
    task: SongTask,
    on_progress: OnProgress,
    cancelled: Event,
    kept: KeptWindows | None = None,
) -> SeparatedSong:
    """Separate `task.source` into files as long as the song, at the song's rate.

    `on_progress` gets the fraction of windows done, 0..1. Windows in `kept` are not
    computed again; see `Engine.separate`. Memory does not grow with the song. Raises
    Cancelled soon after `cancelled` is set, and leaves no file then.
    """
    facts, rate = task.facts, engine.spec.sample_rate
    length = max(1, resampled_samples(facts.samples, facts.sample_rate, rate))
    sums = stem_sources(engine.spec.sources, task.stems)
    used = DeviceTime()
    task.directory.mkdir(parents=True, exist_ok=True)
    # Closed here, because an error's traceback would keep the deleted song open.
    with closing(read_blocks(task.source)) as blocks:
        stems = engine.separate(
            resampled(blocks, facts.sample_rate, rate),
            MixStatistics(length, facts.mean, facts.deviation, facts.side_mean),
            on_progress=lambda done, total: on_progress(done / total),
            cancelled=cancelled,
            share=task.share,
            used=used,
            kept=kept,
        )
        with (
            closing(stems),
            StemWriter(
                task.directory, task.stems, task.format, facts.sample_rate
            ) as writer,
        ):
            # One resampler for all stems keeps them aligned.
            mixes = resampled(
                (mixed(block, sums) for block in stems), rate, facts.sample_rate
            )
            for block in exactly(mixes, facts.samples):
                writer.write(block)
            written = writer.finish()
    return SeparatedSong(written.paths, written.gain, used.seconds)
