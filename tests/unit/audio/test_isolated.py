import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from serve_app.audio import isolated as isolated_module
from serve_app.audio.forkserver import LONG_NICENESS, NICENESS
from serve_app.audio.isolated import MEASURE, IsolatedMeasure
from serve_app.audio.limits import AudioLimits, ProcessLimits
from serve_app.audio.measure import measure
from serve_app.errors import AudioTooLong, BadRequest, Unavailable, UnreadableAudio
from tests import media

LIMITS = AudioLimits(max_duration_seconds=60)
PROCESS_LIMITS = ProcessLimits(cpu_seconds=30, memory_bytes=2**29, wall_seconds=60)

Made = Callable[..., IsolatedMeasure]


@pytest.fixture
def made() -> Iterator[Made]:
    """Create a measure that runs `measure`, or a function of `hostile`."""
    all_made = []

    def make(
        name: str = "", process_limits: ProcessLimits = PROCESS_LIMITS
    ) -> IsolatedMeasure:
        function = f"tests.unit.audio.hostile:{name}" if name else MEASURE
        all_made.append(IsolatedMeasure(LIMITS, process_limits, function))
        return all_made[-1]

    yield make
    for each in all_made:
        each.close()


@pytest.fixture
def song(tmp_path: Path) -> Path:
    media.write_song(tmp_path / "song", "flac", seconds=1.0)
    return tmp_path / "song"


def children(pid: int) -> list[int]:
    """Return the processes that a process has forked and not reaped."""
    threads = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(name) for thread in threads for name in thread.read_text().split()]


def forkservers() -> list[int]:
    """Return the processes that this one has started to measure songs."""
    return [
        pid
        for pid in children(os.getpid())
        if b"serve_app.audio.forkserver" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]


def decoders() -> list[int]:
    """Return the processes that measure songs now."""
    return [decoder for server in forkservers() for decoder in children(server)]


def eventually(condition: Callable[[], object], seconds: float = 10.0) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def has_ended(pid: int) -> bool:
    """Whether a process has ended, including zombies."""
    try:
        return "State:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return True


def test_the_facts_are_those_that_this_process_would_find(
    made: Made, song: Path
) -> None:
    isolated = made()
    assert [isolated(song), isolated(song)] == [measure(song, LIMITS)] * 2


def test_what_is_wrong_with_a_song_is_said_in_the_same_words(
    made: Made, tmp_path: Path
) -> None:
    (tmp_path / "text").write_text("no song")
    media.write_song(tmp_path / "long", "wav8", seconds=61.0)
    isolated = made()
    for name, error in (("text", UnreadableAudio), ("long", AudioTooLong)):
        with pytest.raises(error) as direct:
            measure(tmp_path / name, LIMITS)
        with pytest.raises(error) as told:
            isolated(tmp_path / name)
        assert told.value.detail == direct.value.detail


@pytest.mark.parametrize("how", ["crash", "abort"])
def test_a_crash_of_the_decoder_costs_only_its_song(
    made: Made, song: Path, how: str
) -> None:
    isolated = made(how)
    for _ in range(2):
        with pytest.raises(UnreadableAudio, match="crashed on this file"):
            isolated(song)


def test_a_song_gets_no_more_computing_time_than_one_may_take(
    made: Made, song: Path
) -> None:
    with pytest.raises(AudioTooLong, match="more than 1 seconds of CPU time"):
        made("spin", ProcessLimits(1, 2**29, 60))(song)


def test_a_song_gets_no_more_memory_than_one_may_take(made: Made, song: Path) -> None:
    with pytest.raises(AudioTooLong, match="more memory"):
        made("grow")(song)


def test_a_decoder_writes_no_files(made: Made, song: Path) -> None:
    with pytest.raises(RuntimeError, match="File too large"):
        made("write")(song)
    assert song.with_name("written").read_bytes() == b""


def test_a_decoder_knows_no_secrets(
    made: Made, song: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEMSERVE_WEBHOOK_SECRETS", "whsec_1")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "2")
    with pytest.raises(RuntimeError) as told:
        made("tell_secret")(song)
    assert "OMP_NUM_THREADS" in str(told.value)
    assert "SECRET" not in str(told.value)


def test_a_decoder_that_does_not_end_is_killed(made: Made, song: Path) -> None:
    with pytest.raises(Unavailable):
        made("wait", ProcessLimits(30, 2**29, wall_seconds=0.2))(song)
    eventually(lambda: not decoders())


def test_how_a_decoder_ended_may_come_together_with_what_it_found(
    made: Made, song: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(*given: Any) -> Any:
        time.sleep(0.3)
        return is_readable(*given)

    isolated = made()
    isolated(song)
    is_readable = isolated_module._is_readable
    monkeypatch.setattr(isolated_module, "_is_readable", late)
    assert isolated(song) == measure(song, LIMITS)


def test_a_decoder_is_killed_once_nobody_wants_its_song(made: Made, song: Path) -> None:
    with pytest.raises(BadRequest):
        made("wait")(song, lambda: not decoders())
    eventually(lambda: not decoders())


def test_songs_are_measured_again_after_the_forkserver_was_killed(
    made: Made, song: Path
) -> None:
    isolated = made()
    facts = isolated(song)
    (killed,) = forkservers()
    os.kill(killed, signal.SIGKILL)
    eventually(lambda: has_ended(killed))
    assert isolated(song) == facts


def test_a_forkserver_that_hangs_is_replaced(song: Path) -> None:
    isolated = IsolatedMeasure(LIMITS, PROCESS_LIMITS, alive_seconds=5.0)
    try:
        isolated(song)
        (hung,) = forkservers()
        os.kill(hung, signal.SIGSTOP)
        assert isolated(song) == measure(song, LIMITS)
        assert hung not in forkservers()
    finally:
        isolated.close()


def test_several_songs_are_measured_at_once(made: Made, song: Path) -> None:
    isolated, is_wanted = made("wait"), Event()
    is_wanted.set()
    with ThreadPoolExecutor(3) as threads:
        asked = [threads.submit(isolated, song, is_wanted.is_set) for _ in range(3)]
        try:
            eventually(lambda: len(decoders()) == 3)
        finally:
            is_wanted.clear()
        for each in asked:
            assert isinstance(each.exception(10), BadRequest)


def test_songs_are_measured_beside_more_files_than_select_knows(
    made: Made, song: Path
) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(limits[0], 2048), limits[1]))
    try:
        with ExitStack() as stack:
            for _ in range(1100):
                stack.enter_context(song.open("rb"))
            isolated = made()
            assert [isolated(song), isolated(song)] == [measure(song, LIMITS)] * 2
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_a_long_song_leaves_the_cores_to_short_ones(made: Made, song: Path) -> None:
    own, nicenesses = os.getpriority(os.PRIO_PROCESS, 0), set[int]()
    short, long = own + NICENESS, own + NICENESS + LONG_NICENESS

    def is_wanted() -> bool:
        nicenesses.update(os.getpriority(os.PRIO_PROCESS, pid) for pid in decoders())
        return long not in nicenesses

    with pytest.raises(BadRequest):
        made("spin")(song, is_wanted)
    # A process that was just forked has its parent's.
    assert nicenesses - {own} == {short, long}


_OWNER = """
import sys, threading, time
from pathlib import Path
from serve_app.audio.isolated import IsolatedMeasure
from serve_app.audio.limits import AudioLimits, ProcessLimits
isolated = IsolatedMeasure(
    AudioLimits(60), ProcessLimits(30, 2**29, 60), "tests.unit.audio.hostile:spin"
)
threading.Thread(target=isolated, args=[Path(sys.argv[1])]).start()
time.sleep(60)
"""


def test_all_processes_end_with_the_one_that_was_killed(song: Path) -> None:
    owner = subprocess.Popen([sys.executable, "-c", _OWNER, str(song)])
    try:
        eventually(lambda: children(owner.pid))
        (server,) = children(owner.pid)
        eventually(lambda: children(server))
        (decoder,) = children(server)
    finally:
        owner.kill()
        owner.wait()
    eventually(lambda: has_ended(server) and has_ended(decoder))
