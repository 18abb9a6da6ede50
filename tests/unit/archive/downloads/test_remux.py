"""Sections are joined on one timeline, or fail with the reason."""

import signal
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from threading import Event

import av
import psutil
import pytest

from serve_app.archive.downloads import joining, remux
from serve_app.archive.downloads.remux import Joined, Piece, Plan, Run, Unusable
from serve_app.archive.errors import BrokenMedia
from serve_app.errors import Cancelled
from tests import hls
from tests.hls import Clip
from tests.unit.archive.downloads import samples


class Shelf:
    """Files in a folder, and runs of them."""

    def __init__(self, folder: Path) -> None:
        self.output = folder / "out.mp4"
        self._folder = folder
        self._count = 0

    def run(self, *files: bytes, container: str = "mpegts") -> Run:
        return Run(container, tuple(map(self._piece, files)))

    def plan(self, *tracks: tuple[tuple[Run, ...], ...]) -> Plan:
        return Plan(str(self.output), tracks)

    def _piece(self, data: bytes) -> Piece:
        self._count += 1
        path = self._folder / str(self._count)
        path.write_bytes(data)
        return Piece(str(path), len(data))


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


def times(path: Path, kind: str) -> list[float]:
    def all_times() -> Iterator[float]:
        with av.open(str(path)) as container:
            stream = next(each for each in container.streams if each.type == kind)
            for packet in container.demux(stream):
                if packet.size:
                    yield float(packet.pts * packet.time_base)

    return sorted(all_times())


def test_clocks_that_wrap_around_do_not_matter(shelf: Shelf) -> None:
    """MPEG-TS counts to 2**33 at 90 kHz: 26.5 hours."""
    last_seconds = 2**33 / 90_000
    files = [
        hls.encoded(Clip(start_seconds=round(last_seconds) - 2 + number))
        for number in range(4)
    ]
    joined = remux.join(shelf.plan(((shelf.run(*files),),)))
    assert joined.seconds == pytest.approx([4.0], abs=0.1)
    found = times(shelf.output, "video")
    assert max(after - before for before, after in pairwise(found)) < 0.05


def test_two_tracks_on_one_clock_keep_their_offset(shelf: Shelf) -> None:
    video = shelf.run(samples.segment(seconds=2.0, start_seconds=10.0, audio=None))
    audio = shelf.run(samples.segment(seconds=1.5, start_seconds=10.5, video=None))
    remux.join(shelf.plan(((video,),), ((audio,),)))
    offset = times(shelf.output, "audio")[0] - times(shelf.output, "video")[0]
    assert offset == pytest.approx(0.5, abs=0.1)


def test_two_tracks_on_clocks_of_their_own_begin_at_once(shelf: Shelf) -> None:
    video = shelf.run(samples.segment(start_seconds=10.0, audio=None))
    audio = shelf.run(hls.encoded(Clip(video=None), "adts"), container="aac")
    joined = remux.join(shelf.plan(((video,),), ((audio,),)))
    assert joined == Joined(joined.seconds, ("video", "audio"))
    assert joined.seconds == pytest.approx([1.0, 1.0], abs=0.1)
    assert times(shelf.output, "audio")[0] == pytest.approx(0.0, abs=0.05)


def test_sections_of_two_tracks_begin_together(shelf: Shelf) -> None:
    def section(kind: str, start: float) -> Run:
        clip = {"audio": None} if kind == "video" else {"video": None}
        return shelf.run(samples.segment(start_seconds=start, **clip))

    video = (section("video", 10.0),), (section("video", 500.0),)
    audio = (section("audio", 10.0),), (section("audio", 500.0),)
    joined = remux.join(shelf.plan(video, audio))
    assert joined.seconds == pytest.approx([2.0, 2.0], abs=0.2)
    found = times(shelf.output, "video")
    assert len(found) == 50
    assert max(after - before for before, after in pairwise(found)) < 0.2


@pytest.mark.parametrize(
    ("video", "words"),
    [("mpeg2video", "the codec of its video changes from h264 to mpeg2video")],
)
def test_sections_of_several_codecs_are_refused(
    shelf: Shelf, video: str, words: str
) -> None:
    first = shelf.run(samples.segment())
    second = shelf.run(samples.segment(video=video))
    with pytest.raises(Unusable, match=words):
        remux.join(shelf.plan(((first,), (second,))))


def test_tracks_with_other_discontinuities_are_refused(shelf: Shelf) -> None:
    run = shelf.run(samples.segment())
    with pytest.raises(Unusable, match="different discontinuities"):
        remux.join(shelf.plan(((run,), (run,)), ((run,),)))


def test_a_track_without_its_kind_is_refused(shelf: Shelf) -> None:
    sound = shelf.run(samples.segment(video=None))
    with pytest.raises(Unusable, match="no video"):
        remux.join(shelf.plan(((sound,),), ((sound,),)))


def test_a_plan_survives_its_way_to_the_process(shelf: Shelf) -> None:
    plan = shelf.plan(((shelf.run(samples.segment()),),))
    seen: list[float] = []
    with open(shelf.output.parent / "lock", "w") as lock:
        joined = joining.join(plan, lock.fileno(), seen.append, lambda: True)
    assert joined.kinds == ("video", "audio")
    first = shelf.output.read_bytes()
    remux.join(plan)
    assert shelf.output.read_bytes() == first


def test_a_process_that_crashes_fails_the_media_alone(shelf: Shelf) -> None:
    def crash(_: float) -> None:
        for child in psutil.Process().children():
            child.send_signal(signal.SIGSEGV)

    files = [samples.segment()] * 400
    plan = shelf.plan(((shelf.run(*files),),))
    with (
        open(shelf.output.parent / "lock", "w") as lock,
        pytest.raises(BrokenMedia, match=r"crashed \(exit code -11\)"),
    ):
        joining.join(plan, lock.fileno(), crash, lambda: True)


def test_a_process_that_never_starts_fails_the_media_alone(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joining, "_MODULE", "serve_app.archive.downloads.missing")
    plan = shelf.plan(((shelf.run(*[samples.segment()] * 2000),),))
    with (
        open(shelf.output.parent / "lock", "w") as lock,
        pytest.raises(BrokenMedia, match=r"crashed \(exit code 1\)"),
    ):
        joining.join(plan, lock.fileno(), lambda _: None, lambda: True)


def test_a_cancelled_process_is_ended(shelf: Shelf) -> None:
    cancelled = Event()
    plan = shelf.plan(((shelf.run(*[samples.segment()] * 50),),))
    cancelled.set()
    with open(shelf.output.parent / "lock", "w") as lock, pytest.raises(Cancelled):
        joining.join(
            plan, lock.fileno(), lambda _: None, lambda: not cancelled.is_set()
        )
