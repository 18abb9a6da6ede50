"""A song's samples, read as a stream from whatever file they came in."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import av
import numpy as np
from av import AudioStream
from av.container import InputContainer
from numpy.typing import NDArray

from serve_app.audio import frames, promises
from serve_app.audio.resample import resampled
from serve_app.errors import UnreadableAudio

BLOCK_SAMPLES = 65_536

# What is read, by FFmpeg's names. A list of what may be, not of what may not: FFmpeg
# also knows playlists and scripts, by which a file could name other files and hosts.
_CONTAINERS = (
    *("aac", "ac3", "aiff", "ape", "asf", "au", "avi", "caf", "eac3", "flac", "flv"),
    *("matroska", "mov", "mp3", "ogg", "tta", "w64", "wav", "wv"),
)
_OPTIONS = {"format_whitelist": ",".join(_CONTAINERS), "protocol_whitelist": "file"}

_ACCEPTED = (
    "Send mp3, wav, flac, ogg, opus, m4a or aiff, or a video that has sound, such as "
    "mp4, mkv or webm."
)

Wave = NDArray[np.float32]


class Song:
    """An open file with one audio stream, to be decoded once.

    `sample_rate` and `channels` are those of the header until the first frame is
    decoded, and then those of that frame.
    """

    def __init__(
        self, path: Path, container: InputContainer, stream: AudioStream
    ) -> None:
        self._container = container
        self._stream = stream
        self._stated_seconds: Fraction | None = None
        self.codec = stream.codec_context.codec.canonical_name
        self.channels = stream.codec_context.layout.nb_channels
        self.sample_rate = stream.codec_context.sample_rate
        self.largest_frame_samples = 0
        self.is_exact = promises.is_exact(container)
        self.is_cut_short = promises.is_cut_short(path, container)
        if self.sample_rate > 0:
            self._stated_seconds = promises.stated_seconds(path, container, stream)

    @property
    def stated_samples(self) -> int | None:
        """The length that the file states for itself, None if it states none."""
        if self._stated_seconds is None:
            return None
        return round(self._stated_seconds * self.sample_rate)

    def blocks(self, block_samples: int) -> Iterator[Wave]:
        """Yield all of the song as float32 (2, block_samples), the last one shorter.

        Should the rate change on the way, the rest is brought to the first rate.
        Raises UnreadableAudio where the file can't be decoded.
        """
        runs = groupby(self._waves(), key=itemgetter(0))
        waves = (
            wave
            for rate, run in runs
            for wave in resampled((wave for _, wave in run), rate, self.sample_rate)
        )
        yield from _regrouped(waves, block_samples)

    def _waves(self) -> Iterator[tuple[int, Wave]]:
        parts = frames.read(
            self._container, self._stream, self.codec, self._stated_seconds
        )
        for part in parts:
            if self.largest_frame_samples == 0:
                self.sample_rate, self.channels = part.sample_rate, part.channels
            self.largest_frame_samples = max(
                self.largest_frame_samples, part.wave.shape[1]
            )
            yield part.sample_rate, part.wave


@contextmanager
def opened(path: Path) -> Iterator[Song]:
    """Open a song for one decoding; UnreadableAudio when it is none.

    No other file and no host is ever read, whatever this file says.
    """
    if path.stat().st_size == 0:
        raise UnreadableAudio(f"The file is empty. {_ACCEPTED}")
    try:
        container = av.open(
            f"file:{path.absolute()}", options=_OPTIONS, metadata_errors="ignore"
        )
    except (av.FFmpegError, ValueError) as err:
        raise UnreadableAudio(_why_unreadable(path)) from err
    with container:
        stream = container.streams.best("audio")
        if not isinstance(stream, AudioStream):
            raise UnreadableAudio(f"There is no sound in this file. {_ACCEPTED}")
        if stream.codec_context is None:
            raise UnreadableAudio(
                f"The audio is encrypted or in a codec that is not known. {_ACCEPTED}"
            )
        yield Song(path, container, stream)


def read_blocks(path: Path, block_samples: int = BLOCK_SAMPLES) -> Iterator[Wave]:
    """Yield a song as float32 (2, block_samples) at its own rate, the last one shorter.

    Full scale is 1. Mono is doubled, and more than two channels are mixed down by
    ITU-R BS.775. Sample 0 is the song's: what its encoder put before is left out, and
    so is what it put behind where the file says how much that is. Raises
    UnreadableAudio; `measure` is what also refuses songs that only seem whole.
    """
    with opened(path) as song:
        yield from song.blocks(block_samples)


def _why_unreadable(path: Path) -> str:
    with path.open("rb") as file:
        if file.read(8)[4:] == b"ftyp":
            # The index of an mp4 often comes last: without it nothing can be read.
            return frames.CUT_SHORT
    return f"This is not an audio file that can be read. {_ACCEPTED}"


def _regrouped(waves: Iterable[Wave], block_samples: int) -> Iterator[Wave]:
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
