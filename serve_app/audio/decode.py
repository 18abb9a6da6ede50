"""A song's samples, read as a stream from whatever file they came in."""

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, BinaryIO

import av
import numpy as np
from av import AudioStream
from av.container import InputContainer
from numpy.typing import NDArray

from serve_app.audio import container_length, frames, truncation
from serve_app.audio.frames import Part
from serve_app.audio.resample import resampled
from serve_app.audio.sections import Section, sections
from serve_app.audio.splice import read_at, spliced
from serve_app.audio.tracks import song_track
from serve_app.errors import UnreadableAudio

BLOCK_SAMPLES = 65_536

# What is read, by FFmpeg's names. A list of what may be, not of what may not: FFmpeg
# also knows playlists and scripts, by which a file could name other files and hosts.
_CONTAINERS = (
    *("aac", "ac3", "aiff", "amr", "ape", "asf", "au", "avi", "caf", "dts"),
    *("eac3", "flac", "flv", "gsm", "matroska", "mlp", "mov", "mp3", "mpeg"),
    *("mpegts", "mxf", "ogg", "truehd", "tta", "voc", "w64", "wav", "wtv", "wv"),
)
_BARE = ("aac", "ac3", "eac3", "mp3", "wv")
_OPTIONS = {"format_whitelist": ",".join(_CONTAINERS), "protocol_whitelist": "file"}

# Titles need not be UTF-8. From version 19 on PyAV reads any, and has no such option.
_LENIENT: dict[str, Any] = (
    {"metadata_errors": "ignore"} if int(av.__version__.split(".")[0]) < 19 else {}
)

_ACCEPTED = (
    "Send mp3, wav, flac, ogg, opus, m4a or aiff, or a video that has sound, such as "
    "mp4, mkv or webm."
)

# How many frames a lossy file may lack: encoders count their own padding differently.
_LOSSY_SLACK_FRAMES = 2

Wave = NDArray[np.float32]


@dataclass(frozen=True)
class _Source:
    """An open section of a file, its track, and how long it says that it is."""

    section: Section
    container: InputContainer
    stream: AudioStream
    stated_seconds: Fraction | None
    is_cut_short: bool

    @property
    def codec(self) -> str:
        return self.stream.codec_context.codec.canonical_name


class Song:
    """An open file with one audio track, to be decoded once.

    `sample_rate` and `channels` are those of the header until the first frame is
    decoded, and then those of that frame, as are `loudness_weights`: how much the power
    of each channel counts in ITU-R BS.1770. `is_cut_short` and `stated_samples` are
    known before any sound is decoded. `decoded_values` is how many samples have been,
    those of all channels together.
    """

    def __init__(self, path: Path, first: _Source, rest: Sequence[Section]) -> None:
        self._path = path
        self._first = first
        self._rest = rest
        self.codec = first.codec
        self.channels = first.stream.codec_context.layout.nb_channels
        self.sample_rate = first.stream.codec_context.sample_rate
        self.loudness_weights = (1.0,) * self.channels
        self.is_cut_short = first.is_cut_short or any(part.is_cut for part in rest)
        self.decoded_values = 0

    @property
    def stated_samples(self) -> int | None:
        """The length that the file's first section states, None if it states none."""
        return _stated_samples(self._first, self.sample_rate)

    def blocks(
        self, block_samples: int, *, with_channels: bool = False
    ) -> Iterator[Wave]:
        """Yield all of the song as float32 (2, block_samples), the last one shorter.

        With channels, those of a file that has more than two are the rows below. Should
        the rate change on the way, the rest is brought to the first rate.
        Raises UnreadableAudio where the file can't be decoded, or ends too early.
        """
        runs = groupby(self._waves(with_channels), key=itemgetter(0))
        waves = (
            wave
            for rate, run in runs
            for wave in resampled((wave for _, wave in run), rate, self.sample_rate)
        )
        yield from regrouped(waves, block_samples)

    def _waves(self, with_channels: bool) -> Iterator[tuple[int, Wave]]:
        rows = 0
        for part in self._parts():
            if not rows:
                self.sample_rate, self.channels = part.sample_rate, part.channels
                self.loudness_weights = part.loudness_weights
                rows = len(part.wave) if with_channels else 2
            self.decoded_values += part.channels * part.wave.shape[1]
            yield part.sample_rate, _of_rows(part.wave, rows)

    def _parts(self) -> Iterator[Part]:
        yield from _whole_parts(self._first)
        for section in self._rest:
            with _source(self._path, section) as source:
                yield from _whole_parts(source)


@contextmanager
def opened(path: Path) -> Iterator[Song]:
    """Open a song for one decoding; UnreadableAudio when it is none.

    No other file and no host is ever read, whatever this file says.
    """
    if path.stat().st_size == 0:
        raise UnreadableAudio(f"The file is empty. {_ACCEPTED}")
    first, *rest = sections(path, _is_bare)
    with _source(path, first) as source:
        yield Song(path, source, rest)


@contextmanager
def opened_container(path: Path) -> Iterator[InputContainer]:
    """Open a song's file for what it says beside its sound; UnreadableAudio if none."""
    with path.open("rb") as file, _container(file) as container:
        yield container


@contextmanager
def _source(path: Path, section: Section) -> Iterator[_Source]:
    with (
        spliced(path, section.pieces) as file,
        _container(file, section.format, is_cut=section.is_cut) as container,
    ):
        stream = song_track(container)
        if stream is None and not container.streams.audio:
            raise UnreadableAudio(f"There is no sound in this file. {_ACCEPTED}")
        if stream is None:
            raise UnreadableAudio(
                f"The audio is encrypted or in a codec that is not known. {_ACCEPTED}"
            )
        name = container_length.container_name(container)
        # FFmpeg goes on from where it is: what is read beside it has its own position.
        with spliced(path, section.pieces) as beside:
            is_cut = truncation.is_cut_short(beside, name)
            stated = (
                container_length.stated_seconds(beside, container, stream, section.link)
                if stream.codec_context.sample_rate > 0
                else None
            )
        yield _Source(section, container, stream, stated, section.is_cut or is_cut)


def _is_bare(file: BinaryIO) -> bool:
    """Whether FFmpeg takes a file for nothing but frames, or for nothing."""
    if _is_mp4(file):
        return False
    file.seek(0)
    try:
        with av.open(file, "r", options=_OPTIONS, **_LENIENT) as container:
            return container_length.container_name(container) in _BARE
    except (av.FFmpegError, ValueError):
        return True


def _container(
    file: BinaryIO, format: str | None = None, *, is_cut: bool = False
) -> InputContainer:
    try:
        container: InputContainer = av.open(
            file, "r", format, options=_OPTIONS, **_LENIENT
        )
    except (av.FFmpegError, ValueError) as err:
        why = frames.CUT_SHORT if is_cut else _why_unreadable(file)
        raise UnreadableAudio(why) from err
    return container


def _stated_samples(source: _Source, sample_rate: int) -> int | None:
    if source.stated_seconds is None:
        return None
    return round(source.stated_seconds * sample_rate)


def _whole_parts(source: _Source) -> Iterator[Part]:
    """Yield what a section holds; UnreadableAudio where that is less than it says."""
    if source.section.is_damaged or source.section.damage:
        raise UnreadableAudio(source.section.damage or frames.DAMAGED)
    samples = largest = sample_rate = 0
    for part in frames.read(
        source.container, source.stream, source.codec, source.stated_seconds
    ):
        sample_rate = sample_rate or part.sample_rate
        samples += part.wave.shape[1]
        largest = max(largest, part.wave.shape[1])
        yield part
    is_exact = container_length.is_exact(source.container)
    slack = 0 if is_exact else _LOSSY_SLACK_FRAMES * largest
    stated = _stated_samples(source, sample_rate)
    if sample_rate and stated is not None and samples < stated - slack:
        raise UnreadableAudio(frames.CUT_SHORT)


def read_blocks(
    path: Path, block_samples: int = BLOCK_SAMPLES
) -> Generator[Wave, None, None]:
    """Yield a song as float32 (2, block_samples) at its own rate, the last one shorter.

    Full scale is 1. Mono is doubled, and more than two channels are mixed down by
    ITU-R BS.775. Sample 0 is the song's: what its encoder put before is left out, and
    so is what it put behind where the file says how much that is. The file is open
    until the last block, or `close`. Raises UnreadableAudio; `measure` is what also
    refuses songs that only seem whole.
    """
    with opened(path) as song:
        yield from song.blocks(block_samples)


def _of_rows(wave: Wave, rows: int) -> Wave:
    """Return as many rows as the song began with.

    Should it have other channels all at once, the first two are its stereo sound.
    """
    if len(wave) == rows or rows == 2:
        return wave[:rows]
    silence = np.zeros((rows - 4, wave.shape[1]), np.float32)
    return np.concatenate([wave[:2], wave[:2], silence])


def _why_unreadable(file: BinaryIO) -> str:
    if _is_mp4(file):
        # The index of an mp4 often comes last: without it nothing can be read.
        return frames.CUT_SHORT
    return f"This is not an audio file that can be read. {_ACCEPTED}"


def _is_mp4(file: BinaryIO) -> bool:
    return read_at(file, 4, 4) == b"ftyp"


def regrouped(waves: Iterable[Wave], block_samples: int) -> Iterator[Wave]:
    """Yield waves (..., n) in blocks of one size, the last one shorter."""
    waiting: list[Wave] = []
    samples = 0
    for wave in waves:
        waiting.append(wave)
        samples += wave.shape[1]
        if samples < block_samples:
            continue
        joined = np.concatenate(waiting, axis=1)
        whole = samples - samples % block_samples
        for start in range(0, whole, block_samples):
            yield joined[:, start : start + block_samples]
        waiting, samples = [joined[:, whole:]], samples - whole
    if samples:
        yield np.concatenate(waiting, axis=1)
