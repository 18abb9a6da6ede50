"""A stem that is read from its middle on has the samples of one read as a whole."""

import io
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from serve_app.audio.decode import read_blocks
from serve_app.audio.encode import Encoder
from serve_app.audio.formats import FORMATS
from serve_app.audio.seek import read_from
from serve_app.errors import UnreadableAudio
from serve_app.stems.exports import tagging
from serve_app.stems.exports.tags import Cover, Tags
from tests import media
from tests.unit.stems.exports.songs import PNG

SECONDS = 12.0
Wave = NDArray[np.float32]
Made = Callable[[str, int], tuple[bytes, Wave]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Return what encodes a song with tags; it returns the file and its samples."""
    directory = tmp_path_factory.mktemp("stems")

    @cache
    def encoded(name: str, rate: int) -> tuple[bytes, Wave]:
        form = FORMATS[name]
        plain = directory / f"plain-{name}-{rate}{form.suffix}"
        tagged = directory / f"tagged-{name}-{rate}{form.suffix}"
        encoder = Encoder(plain, form, rate)
        wave = media.song(SECONDS, rate)
        noise = np.random.default_rng(7).standard_normal(wave.shape)
        encoder.write((0.5 * wave + 0.02 * noise).astype(np.float32))
        encoder.close()
        cover = Cover("image/png", PNG + bytes(100_000))
        tagging.write(plain, tagged, Tags(title="Blue", cover=cover))
        return tagged.read_bytes(), np.concatenate(list(read_blocks(tagged)), axis=1)

    return encoded


def read(data: bytes, name: str, start: int) -> Wave:
    return np.concatenate(
        list(read_from(io.BytesIO(data), FORMATS[name], start)), axis=1
    )


@pytest.mark.parametrize("rate", [44_100, 48_000])
@pytest.mark.parametrize("name", FORMATS)
def test_a_stem_is_read_from_any_sample_on(made: Made, name: str, rate: int) -> None:
    data, whole = made(name, rate)
    samples = whole.shape[1]
    starts = np.random.default_rng(1).integers(0, samples, 25).tolist()
    for start in (0, 1, 1151, 44_100, 99_999, samples - 1, *starts):
        found = read(data, name, start)[:, : samples - start]
        np.testing.assert_array_equal(found, whole[:, start:], f"{name} at {start}")


def test_a_file_of_another_format_is_not_read(made: Made) -> None:
    data, _ = made("wav", 44_100)
    with pytest.raises(UnreadableAudio):
        read(data, "flac", 0)


def test_what_is_no_audio_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(UnreadableAudio):
        read(b"RIFF" + bytes(1000), "wav", 0)
