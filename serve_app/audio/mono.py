"""The mean of a song's channels, as a stream."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import soundfile
from numpy.typing import NDArray

from serve_app.audio import decode, frames
from serve_app.audio.decode import BLOCK_SAMPLES
from serve_app.audio.sections import Section, sections
from serve_app.audio.splice import Stretch
from serve_app.errors import UnreadableAudio

Mono = NDArray[np.float32]

_MAGIC = (b"RIFF", b"RF64")
# libsndfile's names of containers, and FFmpeg's.
_CONTAINERS = {"WAV": "wav", "WAVEX": "wav", "RF64": "wav"}
# libsndfile's names of the forms of samples: how they are read, and full scale.
_FORMS: dict[str, tuple[str, type[np.generic], float]] = {
    **dict.fromkeys(("PCM_S8", "PCM_U8", "PCM_16"), ("int16", np.int32, 2.0**15)),
    **dict.fromkeys(("PCM_24", "PCM_32"), ("int32", np.float64, 2.0**31)),
    **dict.fromkeys(("FLOAT", "DOUBLE"), ("float32", np.float32, 1.0)),
}


class MonoSong(Protocol):
    """An open song, to be read once as the mean of its channels.

    `container` is FFmpeg's name, and `expected_samples` a length that may be wrong.
    """

    @property
    def container(self) -> str: ...
    @property
    def sample_rate(self) -> int: ...
    @property
    def expected_samples(self) -> int | None: ...

    def blocks(self) -> Iterator[Mono]:
        """Yield the samples in blocks, full scale being 1; raise UnreadableAudio."""


@contextmanager
def opened(path: Path) -> Iterator[MonoSong]:
    """Open a song; UnreadableAudio if it is not audio, or its end is missing.

    Uncompressed samples are read by libsndfile, which takes a quarter of the time.
    """
    plain = _plain(path)
    if plain is not None:
        with plain:
            yield _Plain(plain)
        return
    with decode.opened(path) as song:
        if song.is_cut_short:
            raise UnreadableAudio(frames.CUT_SHORT)
        yield _Decoded(song)


@dataclass(frozen=True)
class _Decoded:
    """A song that FFmpeg decodes."""

    song: decode.Song

    @property
    def container(self) -> str:
        return self.song.container

    @property
    def sample_rate(self) -> int:
        return self.song.sample_rate

    @property
    def expected_samples(self) -> int | None:
        return self.song.estimated_samples

    def blocks(self) -> Iterator[Mono]:
        return map(mean, self.song.blocks(BLOCK_SAMPLES, with_channels=True))


@dataclass(frozen=True)
class _Plain:
    """A file of samples of a known form."""

    file: soundfile.SoundFile

    @property
    def container(self) -> str:
        return _CONTAINERS[self.file.format]

    @property
    def sample_rate(self) -> int:
        return int(self.file.samplerate)

    @property
    def expected_samples(self) -> int | None:
        return int(self.file.frames)

    def blocks(self) -> Iterator[Mono]:
        return _plain_blocks(self.file, BLOCK_SAMPLES)


def mean(block: NDArray[np.float32]) -> Mono:
    """Return the mean of a block's channels.

    Of the rows of `Song.blocks`, the first two are the stereo mix, and those of a file
    with more channels follow.
    """
    channels = block[2:] if len(block) > 2 else block
    found: Mono = channels.mean(axis=0, dtype=np.float32)
    return found


def _plain(path: Path) -> soundfile.SoundFile | None:
    """Open a file with samples of a known form; None for others."""
    if not _is_intact_wav(path):
        return None
    try:
        found = soundfile.SoundFile(path)
    except soundfile.LibsndfileError:
        return None
    if found.subtype in _FORMS and found.format in _CONTAINERS:
        return found
    found.close()
    return None


def _is_intact_wav(path: Path) -> bool:
    """Return whether a file is one wav from its start to its end, with a right header.

    FFmpeg reads the others, or says what is wrong with them.
    """
    with path.open("rb") as file:
        if file.read(4) not in _MAGIC:
            return False
    found = sections(path, lambda _: False)
    whole = Section((Stretch(0, path.stat().st_size),))
    return [replace(each, format=None) for each in found] == [whole]


def _plain_blocks(file: soundfile.SoundFile, block_samples: int) -> Iterator[Mono]:
    form, wide, full_scale = _FORMS[file.subtype]
    scale = np.float32(1 / (file.channels * full_scale))
    while len(block := _read(file, block_samples, form)):
        # One channel after the other: a mean over pairs takes five times as long.
        total = block[:, 0].astype(wide)
        for channel in range(1, file.channels):
            total += block[:, channel]
        yield total.astype(np.float32) * scale


def _read(file: soundfile.SoundFile, samples: int, form: str) -> NDArray[Any]:
    block: NDArray[Any] = file.read(samples, dtype=form, always_2d=True)
    return block
