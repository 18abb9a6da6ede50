"""A mix is the sum of the stems as they are stored, and is kept with its job."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from numpy.typing import NDArray

from serve_app.audio.decode import read_blocks
from serve_app.audio.encode import Encoder
from serve_app.audio.formats import FORMATS
from serve_app.audio.limits import AudioLimits
from serve_app.audio.measure import measure
from serve_app.errors import Cancelled, FileLost
from serve_app.jobs.job import State
from serve_app.stems import mixer, mixes
from serve_app.stems.exports import tagging, tags
from serve_app.stems.mixer import Mixer
from serve_app.stems.mixes import MixRequest
from serve_app.stems.request import Result, SeparationJob, StemFile
from serve_app.storage.local import LocalStorage
from tests import media
from tests.jobs import asking, new_job, with_audio

RATE = 44_100
NAMES = ("drums", "bass", "vocals")
Wave = NDArray[np.float32]


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path / "files")


def wave(path: Path) -> Wave:
    return np.concatenate(list(read_blocks(path)), axis=1)


def completed(
    tmp_path: Path, storage: LocalStorage, form: str = "wav", peak: float = 0.3
) -> SeparationJob:
    """Return a job whose stems are noise of two seconds, in a format."""
    song = tmp_path / "song.wav"
    media.write_song(song, seconds=2.0)
    job = with_audio(new_job(), measure(song, AudioLimits(60)))
    storage.put(job.request.source.key, song)
    random, stems = np.random.default_rng(3), []
    for name in NAMES:
        path = tmp_path / f"{name}{FORMATS[form].suffix}"
        encoder = Encoder(path, FORMATS[form], job.request.source.sample_rate)
        shape = (2, job.request.source.samples)
        encoder.write(random.uniform(-peak, peak, shape).astype(np.float32))
        encoder.close()
        key = f"stems/a/1/{path.name}"
        storage.put(key, path)
        stems.append(StemFile(name, key, path.name, path.stat().st_size, "", ""))
    options = replace(job.request.options, format=form, stems=NAMES)
    return asking(job, options=options).evolve(
        state=State.SUCCEEDED, result=Result("demo", tuple(stems), 1.0)
    )


def mixed(
    tmp_path: Path, storage: LocalStorage, request: MixRequest
) -> tuple[mixes.Mix, Path]:
    """Make a mix; return it, and its file."""
    Mixer(storage, tmp_path / "work").mix(request, Event())
    found = mixes.find(storage, request.job.id, request.id)
    assert found is not None
    mix, file = found
    path = tmp_path / Path(file.key).name
    path.write_bytes(b"".join(storage.read(file.key)))
    return mix, path


def sum_of(tmp_path: Path, form: str, gains: Mapping[str, float]) -> Wave:
    suffix = FORMATS[form].suffix
    stems = [gain * wave(tmp_path / f"{name}{suffix}") for name, gain in gains.items()]
    total: Wave = np.sum(stems, axis=0)
    return total


@pytest.mark.parametrize("form", ["wav", "wav24", "wav32f", "flac", "mp3", "m4a"])
def test_a_mix_is_the_sum_of_its_stems(
    tmp_path: Path, storage: LocalStorage, form: str
) -> None:
    job = completed(tmp_path, storage, form)
    gains = {"drums": 1.0, "vocals": 0.5}
    mix, path = mixed(tmp_path, storage, mixes.request_of(job, gains, "wav"))
    assert mix.gain == 1.0
    expected = sum_of(tmp_path, form, gains)
    found = wave(path)
    assert found.shape == (2, job.request.source.samples) == expected.shape
    # Half a step of 16 bits, and the rounding of floats.
    assert np.abs(found - expected).max() <= 2**-16 + 1e-6


def test_stems_at_another_rate_than_the_song_s_give_a_mix_as_long_as_it(
    tmp_path: Path, storage: LocalStorage
) -> None:
    job = completed(tmp_path, storage, "opus")
    request = mixes.request_of(job, {"bass": 1.0}, "wav32f")
    _, path = mixed(tmp_path, storage, request)
    assert wave(path).shape == (2, job.request.source.samples)


@pytest.mark.parametrize("form", FORMATS)
def test_a_mix_may_have_any_format_of_stems(
    tmp_path: Path, storage: LocalStorage, form: str
) -> None:
    job = completed(tmp_path, storage)
    request = mixes.request_of(job, {"drums": 0.5}, form)
    mix, path = mixed(tmp_path, storage, request)
    assert (mix.format, path.suffix) == (form, FORMATS[form].suffix)
    assert mix.filename == f"Söng 'one' (drums){FORMATS[form].suffix}"
    assert mix.size_bytes == path.stat().st_size
    assert wave(path).shape[1] >= job.request.source.samples


def test_a_mix_over_full_scale_is_scaled_by_one_factor(
    tmp_path: Path, storage: LocalStorage
) -> None:
    job = completed(tmp_path, storage, peak=0.9)
    gains = dict.fromkeys(NAMES, 2.0)
    mix, path = mixed(tmp_path, storage, mixes.request_of(job, gains, "wav"))
    expected = sum_of(tmp_path, "wav", gains)
    assert 0.1 < mix.gain < 1.0
    found = wave(path)
    assert np.abs(found - mix.gain * expected).max() <= 2**-16 + 1e-6
    assert np.abs(found).max() == 1 - 2**-15


def test_floats_keep_what_is_over_full_scale(
    tmp_path: Path, storage: LocalStorage
) -> None:
    job = completed(tmp_path, storage, peak=0.9)
    gains = dict.fromkeys(NAMES, 2.0)
    mix, path = mixed(tmp_path, storage, mixes.request_of(job, gains, "wav32f"))
    assert mix.gain == 1.0
    np.testing.assert_allclose(
        wave(path), sum_of(tmp_path, "wav", gains), rtol=0, atol=1e-6
    )


def test_a_mix_has_the_tags_of_its_song(
    tmp_path: Path, storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = completed(tmp_path, storage)
    written = []
    monkeypatch.setattr(mixer.stem_tags, "write", lambda *seen: written.append(seen))
    request = mixes.request_of(job, {"vocals": 1.0, "drums": 1.0}, "wav")
    mixed(tmp_path, storage, request)
    ((stems, original, facts, report),) = written
    # In the order of the job's stems.
    assert list(stems) == ["drums + vocals"]
    assert original.name == "original"
    assert (facts, report) == (job.request.source, None)


def test_the_title_of_a_mix_names_its_stems(
    tmp_path: Path, storage: LocalStorage
) -> None:
    job = completed(tmp_path, storage)
    plain, tagged = tmp_path / "plain.flac", tmp_path / "tagged.flac"
    media.write_song(plain, "flac", seconds=2.0)
    tagging.write(plain, tagged, tags.Tags(title="Blue", artist="Ä"))
    storage.put(job.request.source.key, tagged)
    request = mixes.request_of(job, {"vocals": 1.0, "drums": 1.0}, "flac")
    _, path = mixed(tmp_path, storage, request)
    found = tags.read(path)
    assert (found.title, found.artist) == ("Blue (Drums + vocals)", "Ä")


def test_a_cancelled_mix_leaves_nothing(tmp_path: Path, storage: LocalStorage) -> None:
    job = completed(tmp_path, storage)
    cancelled = Event()
    cancelled.set()
    request = mixes.request_of(job, {"drums": 1.0}, "wav")
    with pytest.raises(Cancelled):
        Mixer(storage, tmp_path / "work").mix(request, cancelled)
    assert list((tmp_path / "work").iterdir()) == []
    assert mixes.find(storage, job.id, request.id) is None


def test_a_mix_of_a_deleted_stem_fails(tmp_path: Path, storage: LocalStorage) -> None:
    job = completed(tmp_path, storage)
    storage.delete("stems/a/1/drums.wav")
    request = mixes.request_of(job, {"drums": 1.0}, "wav")
    with pytest.raises(FileLost):
        Mixer(storage, tmp_path / "work").mix(request, Event())


def test_memory_does_not_grow_with_the_song(
    tmp_path: Path, storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No block that is written is longer than one that is read."""
    job = completed(tmp_path, storage)
    longest = 0
    write = mixer.StemWriter.write

    def watched(writer: mixer.StemWriter, block: Wave) -> None:
        nonlocal longest
        longest = max(longest, block.shape[-1])
        write(writer, block)

    monkeypatch.setattr(mixer.StemWriter, "write", watched)
    monkeypatch.setattr(mixer, "BLOCK_SAMPLES", 1000)
    mixed(tmp_path, storage, mixes.request_of(job, {"drums": 1.0}, "wav"))
    assert longest == 1000
