from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from serve_app.audio import formats
from serve_app.audio.encode import Encoder
from serve_app.audio.formats import FORMATS
from serve_app.stems.footprint import disk_bytes, most_stored_bytes
from serve_app.stems.request import Options
from tests.jobs import new_job

STEMS = ("drums", "bass", "other", "vocals")


def test_a_job_needs_room_for_its_windows_and_its_stems_and_their_copies() -> None:
    """For each second: 1.4 MB of windows and their overlap, and 3 times the stems.

    Beside that, stems have the song's tags, which are no larger than its file.
    """
    source = replace(new_job().request.source, size_bytes=0)
    options = Options("demo", STEMS, "wav")
    needed = disk_bytes(source, options, STEMS, 44_100)
    second_bytes = 44_100 * 2 * 4 * 4
    assert needed == round(180 * second_bytes * (8 / 7 + 3))
    tagged = disk_bytes(replace(source, size_bytes=10**9), options, STEMS, 44_100)
    assert tagged - needed == 2 * 10**9 + 3 * 4 * 2 * 2**20


def test_fewer_stems_need_less_but_all_windows() -> None:
    source = replace(new_job().request.source, size_bytes=0)
    all_of_them, one = (
        disk_bytes(source, Options("demo", stems, "wav"), STEMS, 44_100)
        for stems in (STEMS, STEMS[:1])
    )
    assert all_of_them - one == 3 * 180 * 44_100 * 2 * 4 * 3


@pytest.mark.parametrize("name", FORMATS)
def test_a_stem_of_noise_takes_no_more_than_was_expected(
    tmp_path: Path, name: str
) -> None:
    """Nothing compresses less than white noise at full scale."""
    samples = 44_100 * 5
    path = tmp_path / f"stem{FORMATS[name].suffix}"
    encoder = Encoder(path, formats.parse(name), 44_100)
    noise = np.random.default_rng(1).uniform(-1, 1, (2, samples))
    encoder.write(noise.astype(np.float32))
    encoder.close()
    source = replace(new_job().request.source, samples=samples, size_bytes=1000)
    most = most_stored_bytes(source, Options("demo", ("drums",), name))
    assert 1000 + path.stat().st_size <= most < 1000 + samples * 2 * 4 + 2**20


def test_what_is_kept_is_the_song_and_each_stem() -> None:
    source = new_job().request.source
    one, four = (
        most_stored_bytes(source, Options("demo", stems, "wav"))
        for stems in (STEMS[:1], STEMS)
    )
    assert four - source.size_bytes == 4 * (one - source.size_bytes)
