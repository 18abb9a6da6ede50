"""A stem can be played while its song is being separated."""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event, Thread

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from serve_app.audio.formats import FORMATS
from serve_app.audio.limits import AudioLimits
from serve_app.audio.measure import measure
from serve_app.audio.resample import resampled
from serve_app.audio.seek import read_from
from serve_app.audio.wave import FLOAT32, PCM16, WavForm
from serve_app.errors import Cancelled, NotReady
from serve_app.jobs.job import State
from serve_app.separation.windows import WindowSpec
from serve_app.stems import live_playback as follow_module
from serve_app.stems.live_playback import Follower
from serve_app.stems.request import Result, SeparationJob, Stage
from serve_app.stems.stored_windows import Layout, SongWindows
from serve_app.stems.work import SongWorker
from serve_app.storage.local import LocalStorage
from serve_app.storage.reader import StoredFileReader
from tests import media
from tests.jobs import asking, new_job, with_audio
from tests.networks import OneEngine, sharing_engine

Wave = NDArray[np.int16]


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow_module, "POLL_SECONDS", 0.01)


@dataclass
class Running:
    """A job that a thread works on, step by step."""

    job: SeparationJob
    storage: LocalStorage
    directory: Path
    go_on: Event
    is_half_done: Event
    thread: Thread
    results: list[Result]

    def follower(self, stem: str, form: WavForm = PCM16) -> Follower:
        return Follower(self.look, self.storage, stem, form)

    def look(self) -> SeparationJob:
        if self.results and not self.thread.is_alive():
            return self.job.evolve(state=State.SUCCEEDED, result=self.results[0])
        return self.job

    def finish(self) -> Result:
        self.go_on.set()
        self.thread.join(30)
        return self.results[0]

    def published(self, stem: str) -> tuple[Wave, float]:
        """Return the samples of a finished stem, and the gain it got."""
        result = self.results[0]
        (found,) = (one for one in result.stems if one.name == stem)
        data = b"".join(self.storage.read(found.key))
        wave, _ = soundfile.read(io.BytesIO(data), dtype="int16", always_2d=True)
        return wave, result.gain


Start = Callable[..., Running]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Separate a song up to its middle, and the rest when told to."""
    storage = LocalStorage(tmp_path / "files")
    started: list[Running] = []

    def begin(
        form: str = "wav",
        sample_rate: int = 44_100,
        shares: tuple[float, ...] = (0.4, 0.3, 0.2, 0.1),
        change: Callable[[media.Wave], media.Wave] = lambda wave: wave,
    ) -> Running:
        song = tmp_path / "song.wav"
        wave = change(media.song(3.0, sample_rate))
        media.write_wave(song, wave.astype(np.float32), sample_rate)
        facts = measure(song, AudioLimits(60))
        storage.put("originals/a", song)
        job = new_job(state=State.RUNNING, owner="me", attempt=1)
        options = replace(
            job.request.options, format=form, stems=("drums", "accompaniment")
        )
        job = asking(with_audio(job, facts), options=options)
        go_on, half_done, results = Event(), Event(), []

        def on_progress(stage: Stage, fraction: float) -> None:
            if stage is Stage.SEPARATE and fraction > 0.5:
                half_done.set()
                assert go_on.wait(30)

        def work() -> None:
            with sharing_engine(shares) as engine:
                worker = SongWorker(OneEngine(engine), storage, tmp_path / "work")
                results.append(worker.run(job, on_progress, Event()))

        thread = Thread(target=work)
        thread.start()
        assert half_done.wait(30)
        running = Running(
            *(job, storage, tmp_path / "work"),
            *(go_on, half_done, thread, results),
        )
        started.append(running)
        return running

    yield begin
    for running in started:
        running.finish()


def decoded(chunks: bytes) -> tuple[Wave, int]:
    wave, rate = soundfile.read(io.BytesIO(chunks), dtype="int16", always_2d=True)
    return wave, rate


@pytest.mark.parametrize("sample_rate", [44_100, 48_000])
@pytest.mark.parametrize("stem", ["drums", "accompaniment"])
def test_what_is_heard_is_the_finished_stem_to_the_last_bit(
    start: Start, stem: str, sample_rate: int
) -> None:
    running = start(sample_rate=sample_rate)
    follower = running.follower(stem)
    chunks = follower.chunks()
    heard = [next(chunks)]
    # Half of it is there before the job is done: these return, however slow the disk.
    while sum(map(len, heard)) < running.job.request.source.samples * 4 * 0.3:
        heard.append(next(chunks))
    running.finish()
    heard += chunks
    wave, rate = decoded(b"".join(heard))
    published, gain = running.published(stem)
    assert (rate, gain) == (sample_rate, 1.0)
    np.testing.assert_array_equal(wave, published)


def test_the_windows_are_those_of_the_attempt_that_runs(
    start: Start, tmp_path: Path
) -> None:
    """An engine of an earlier attempt had others, such as before an upgrade."""
    running = start()
    older = Layout("a-1", ("vocals", "drums"), 22_050, WindowSpec(8192, 2048))
    running.job = running.job.evolve(attempt=2)
    with SongWindows(running.storage, tmp_path, running.job.id, 0, older) as some:
        some._thread.submit(lambda: None).result(10)
    follower = running.follower("drums")
    assert not follower.is_ready()
    running.job = running.job.evolve(attempt=1)
    assert follower.is_ready()
    chunks = follower.chunks()
    heard = [next(chunks), next(chunks)]
    running.finish()
    wave, _ = decoded(b"".join([*heard, *chunks]))
    published, _ = running.published("drums")
    np.testing.assert_array_equal(wave, published)


def test_a_job_that_waits_to_be_tried_again_has_no_windows_yet(start: Start) -> None:
    """Its next attempt may have another engine."""
    running = start()
    running.job = running.job.evolve(state=State.QUEUED)
    assert not running.follower("drums").is_ready()


def turned_over(wave: media.Wave) -> media.Wave:
    return np.stack([wave[0], -wave[0]])


CHANGES: dict[str, Callable[[media.Wave], media.Wave]] = {
    "offset": lambda wave: wave + np.float32(0.1),
    "opposite offsets": lambda wave: wave + np.array([[0.05], [-0.05]]),
    "out of phase": turned_over,
    "out of phase on an offset": lambda wave: turned_over(wave) + np.float32(0.2),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("stem", ["drums", "accompaniment"])
def test_a_song_with_an_offset_or_out_of_phase_is_heard_as_it_is_finished(
    start: Start, stem: str, change: Callable[[media.Wave], media.Wave]
) -> None:
    running = start(change=change)
    chunks = running.follower(stem).chunks()
    heard = [next(chunks), next(chunks), next(chunks)]
    running.finish()
    wave, _ = decoded(b"".join([*heard, *chunks]))
    published, gain = running.published(stem)
    assert gain == 1.0
    assert np.abs(published).max() > 1_000
    np.testing.assert_array_equal(wave, published)


@pytest.mark.parametrize("form", ["flac", "opus"])
def test_the_rest_comes_from_the_finished_file_whatever_its_format(
    start: Start, form: str
) -> None:
    running = start(form=form)
    chunks = running.follower("drums").chunks()
    heard = [next(chunks), next(chunks)]
    running.finish()
    wave, _ = decoded(b"".join([*heard, *chunks]))
    assert len(wave) == running.job.request.source.samples
    wanted, _ = soundfile.read(running.directory.parent / "song.wav", dtype="float32")
    wanted = wanted * 0.4
    got = wave.astype(np.float32) / 2**15
    error = np.square(got - wanted).sum() / np.square(wanted).sum()
    assert error < (1e-5 if form == "flac" else 0.1)


def test_a_gain_that_came_at_the_end_is_taken_back(start: Start) -> None:
    """So that the loudness does not jump where the file takes over."""
    running = start(shares=(3.0, 0.0, 0.0, 0.0))
    chunks = running.follower("drums").chunks()
    heard = [next(chunks), next(chunks)]
    result = running.finish()
    assert result.gain < 0.9
    wave, _ = decoded(b"".join([*heard, *chunks]))
    published, gain = running.published("drums")
    expected = np.clip(published / gain, -(2**15), 2**15 - 1)
    assert np.abs(wave - expected).max() < 3


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("sample_rate", [44_100, 48_000])
def test_a_completed_job_is_played_from_any_byte_on(
    start: Start, form: str, sample_rate: int
) -> None:
    """Without its file being decoded from the start, and in the same samples."""
    running = start(form=form, sample_rate=sample_rate)
    running.finish()
    whole = b"".join(running.follower("drums").chunks())
    for start_bytes in (0, 47, 200_001, 400_000, 500_002, len(whole) - 1):
        rest = running.follower("drums").chunks(start_bytes)
        assert b"".join(rest) == whole[start_bytes:], start_bytes


@pytest.mark.parametrize("form", FORMATS)
def test_floats_times_the_gain_are_the_finished_file(start: Start, form: str) -> None:
    """Also where a stem exceeds full scale: a wav of 16 bits would clip there."""
    running = start(form=form, shares=(3.0, 0.0, 0.0, 0.0))
    chunks = running.follower("drums", FLOAT32).chunks()
    heard = [next(chunks), next(chunks)]
    result = running.finish()
    wave, _ = soundfile.read(io.BytesIO(b"".join([*heard, *chunks])), dtype="float32")
    assert np.abs(wave).max() > 1.1
    (drums,) = (stem for stem in result.stems if stem.name == "drums")
    file = StoredFileReader(running.storage, drums.key, drums.size_bytes)
    stored = np.concatenate(list(read_from(file, FORMATS[form], 0)), axis=1)
    rest = running.follower("drums", FLOAT32).chunks()
    again, _ = soundfile.read(io.BytesIO(b"".join(rest)), dtype="float32")
    if form == "opus":
        stored = np.concatenate(list(resampled([stored], 48_000, 44_100)), axis=1)
    stored = stored[:, : len(again)].T
    assert again.shape == stored.shape == wave.shape
    np.testing.assert_allclose(again * result.gain, stored, atol=1e-6)
    assert (result.gain < 0.9) == (form != "wav32f")


@pytest.mark.parametrize("form", ["wav", "flac"])
def test_a_playback_is_continued_from_the_finished_file(
    start: Start, form: str
) -> None:
    """Its windows are deleted then."""
    running = start(form=form)
    follower = running.follower("drums")
    chunks, heard = follower.chunks(), b""
    while follower.is_ready():
        heard += next(chunks)
    follower.stop()
    running.finish()
    whole = b"".join(running.follower("drums").chunks())
    assert len(heard) < len(whole) == running.follower("drums").size_bytes
    # The file has 16 bits in both formats: its samples are those of the windows.
    assert heard == whole[: len(heard)]
    for start_bytes in (0, 20, 44, 47, len(heard), len(whole) - 1):
        rest = running.follower("drums").chunks(start_bytes)
        assert b"".join(rest) == whole[start_bytes:], start_bytes


def test_nothing_is_ready_before_it_is_stored(start: Start) -> None:
    running = start()
    follower = running.follower("drums")
    chunks = follower.chunks()
    while follower.is_ready():
        next(chunks)
    assert follower.is_ready() is False
    running.finish()
    assert follower.is_ready()


def test_who_stops_listening_holds_no_thread(start: Start) -> None:
    running = start()
    follower = running.follower("drums")
    chunks = follower.chunks()
    while follower.is_ready():
        next(chunks)
    follower.stop()
    with pytest.raises(Cancelled):
        list(chunks)


def test_a_job_that_fails_is_not_passed_off_as_a_whole_song(start: Start) -> None:
    running = start()
    failed = running.job.evolve(state=State.FAILED, error="It is damaged.")
    looks = iter([running.job, running.job, running.job])
    follower = Follower(
        lambda: next(looks, failed),
        running.storage,
        "drums",
    )
    with pytest.raises(NotReady, match="It is damaged"):
        list(follower.chunks())


def test_a_job_that_is_deleted_ends_its_readers_at_once(start: Start) -> None:
    """Whoever separates it may need a while to let it go."""
    running = start()
    deleted = running.job.evolve(cancel_requested=True)
    looks = iter([running.job, running.job, running.job])
    follower = Follower(
        lambda: next(looks, deleted),
        running.storage,
        "drums",
    )
    with pytest.raises(NotReady, match="cancelled"):
        list(follower.chunks())
