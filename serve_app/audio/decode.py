"""Decode a song's samples as a stream, from any supported file."""

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
from serve_app.audio.frames import DecodedFrame
from serve_app.audio.resample import resampled
from serve_app.audio.sections import Section, sections
from serve_app.audio.splice import read_at, spliced
from serve_app.audio.tracks import song_track
from serve_app.errors import UnreadableAudio

BLOCK_SAMPLES = 65_536

# FFmpeg's names of the allowed containers. An allowlist, because FFmpeg also reads
# playlists and scripts, through which a file could name other files and hosts.
_CONTAINERS = (
    *("aac", "ac3", "aiff", "amr", "ape", "asf", "au", "avi", "caf", "dts"),
    *("eac3", "flac", "flv", "gsm", "matroska", "mlp", "mov", "mp3", "mpeg"),
    *("mpegts", "mxf", "ogg", "truehd", "tta", "voc", "w64", "wav", "wtv", "wv"),
)
_BARE = ("aac", "ac3", "eac3", "mp3", "wv")
_OPTIONS = {"format_whitelist": ",".join(_CONTAINERS), "protocol_whitelist": "file"}

# Tags may not be UTF-8. PyAV 19 and later ignores such errors and has no option.
_LENIENT: dict[str, Any] = (
    {"metadata_errors": "ignore"} if int(av.__version__.split(".")[0]) < 19 else {}
)

_ACCEPTED = (
    "Send mp3, wav, flac, ogg, opus, m4a or aiff, or a video that has sound, such as "
    "mp4, mkv or webm."
)

# Frames that a lossy file may lack: encoders count their padding differently.
_LOSSY_SLACK_FRAMES = 2

Wave = NDArray[np.float32]


@dataclass(frozen=True)
class _Source:
    """An open section of a file, its track, and its stated length."""

    section: Section
    container: InputContainer
    stream: AudioStream
    stated_seconds: Fraction | None
    is_cut_short: bool

    @property
    def codec(self) -> str:
        return self.stream.codec_context.codec.canonical_name


class Song:
    """An open file with one audio track, which can be decoded once.

    `codec` and `container` are FFmpeg's names.
    `sample_rate` and `channels` are the header's until the first frame is decoded, then
    that frame's. So are `loudness_weights`, the channels' weights of power in ITU-R
    BS.1770. `is_cut_short` and `stated_samples` are known before decoding.
    `decoded_values` counts the decoded samples of all channels together.
    """

    def __init__(self, path: Path, first: _Source, rest: Sequence[Section]) -> None:
        self._path = path
        self._first = first
        self._rest = rest
        self.codec = first.codec
        self.container = container_length.container_name(first.container)
        self.channels = first.stream.codec_context.layout.nb_channels
        self.sample_rate = first.stream.codec_context.sample_rate
        self.loudness_weights = (1.0,) * self.channels
        self.is_cut_short = first.is_cut_short or any(
            section.is_cut for section in rest
        )
        self.decoded_values = 0

    @property
    def stated_samples(self) -> int | None:
        """The length that the file's first section states, or None."""
        return _stated_samples(self._first, self.sample_rate)

    @property
    def estimated_samples(self) -> int | None:
        """The stated length, or else FFmpeg's estimate, which may be wrong; or None."""
        stream = self._first.stream
        if self.stated_samples is not None or not stream.duration:
            return self.stated_samples
        return round(stream.duration * (stream.time_base or 0) * self.sample_rate)

    def blocks(
        self, block_samples: int, *, with_channels: bool = False
    ) -> Iterator[Wave]:
        """Yield the song as float32 (2, block_samples); the last block may be shorter.

        `with_channels` appends the channels of a file with more than two as rows. If
        the rate changes inside the file, the rest is resampled to the first rate.
        Raises UnreadableAudio if the file can't be decoded or is truncated.
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
        for frame in self._frames():
            if not rows:
                self.sample_rate, self.channels = frame.sample_rate, frame.channels
                self.loudness_weights = frame.loudness_weights
                rows = len(frame.wave) if with_channels else 2
            self.decoded_values += frame.channels * frame.wave.shape[1]
            yield frame.sample_rate, _of_rows(frame.wave, rows)

    def _frames(self) -> Iterator[DecodedFrame]:
        yield from _checked_frames(self._first)
        for section in self._rest:
            with _source(self._path, section) as source:
                yield from _checked_frames(source)


@contextmanager
def opened(path: Path) -> Iterator[Song]:
    """Open a song to decode it once; UnreadableAudio if it is not audio.

    No other file and no host is read, even if the file refers to one.
    """
    if path.stat().st_size == 0:
        raise UnreadableAudio(f"The file is empty. {_ACCEPTED}")
    first, *rest = sections(path, _is_bare)
    with _source(path, first) as source:
        yield Song(path, source, rest)


@contextmanager
def opened_container(path: Path) -> Iterator[InputContainer]:
    """Open a song's file to read its metadata; UnreadableAudio if it can't be read."""
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
            raise UnreadableAudio(f"The file has no audio track. {_ACCEPTED}")
        if stream is None:
            raise UnreadableAudio(
                f"The audio is encrypted or in an unknown codec. {_ACCEPTED}"
            )
        name = container_length.container_name(container)
        # A second open file: reading through FFmpeg's would move its position.
        with spliced(path, section.pieces) as beside:
            is_cut = truncation.is_cut_short(beside, name)
            stated = (
                container_length.stated_seconds(beside, container, stream, section.link)
                if stream.codec_context.sample_rate > 0
                else None
            )
        yield _Source(section, container, stream, stated, section.is_cut or is_cut)


def _is_bare(file: BinaryIO) -> bool:
    """Whether FFmpeg detects bare frames in a file, or can't read it."""
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


def _checked_frames(source: _Source) -> Iterator[DecodedFrame]:
    """Yield a section's frames; UnreadableAudio if it is shorter than it states."""
    if source.section.is_damaged or source.section.damage:
        raise UnreadableAudio(source.section.damage or frames.DAMAGED)
    samples = largest = sample_rate = 0
    for frame in frames.read(
        source.container, source.stream, source.codec, source.stated_seconds
    ):
        sample_rate = sample_rate or frame.sample_rate
        samples += frame.wave.shape[1]
        largest = max(largest, frame.wave.shape[1])
        yield frame
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
    ITU-R BS.775. Sample 0 is the song's first: the encoder's delay is left out, and so
    is its padding at the end if the file states it. The file stays open until the last
    block, or `close`. Raises UnreadableAudio; `measure` also refuses songs that are
    truncated but decode without an error.
    """
    with opened(path) as song:
        yield from song.blocks(block_samples)


def _of_rows(wave: Wave, rows: int) -> Wave:
    """Return `wave` with the song's first number of rows.

    If the number of channels changes inside the file, the stereo mix replaces them.
    """
    if len(wave) == rows or rows == 2:
        return wave[:rows]
    silence = np.zeros((rows - 4, wave.shape[1]), np.float32)
    return np.concatenate([wave[:2], wave[:2], silence])


def _why_unreadable(file: BinaryIO) -> str:
    if _is_mp4(file):
        # An mp4's index often comes last, and without it nothing can be read.
        return frames.CUT_SHORT
    return f"This is not an audio file of a known format. {_ACCEPTED}"


def _is_mp4(file: BinaryIO) -> bool:
    return read_at(file, 4, 4) == b"ftyp"


def regrouped(waves: Iterable[Wave], block_samples: int) -> Iterator[Wave]:
    """Yield waves (..., n) in blocks of `block_samples`, the last one shorter."""
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
