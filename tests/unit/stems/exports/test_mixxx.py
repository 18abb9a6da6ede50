"""The columns are those of Mixxx's library, the messages those of its `beats.proto`."""

import sqlite3
import struct
from collections.abc import Iterator

import pytest

from serve_app.stems.exports import mixxx
from serve_app.stems.exports.codec_facts import CodecFacts
from serve_app.stems.exports.track import Segment
from tests.unit.stems.exports.songs import RATE, track


def fields(data: bytes) -> Iterator[tuple[int, float | bytes]]:
    """Read a protobuf message of doubles and bytes."""
    while data:
        number, kind = data[0] >> 3, data[0] & 7
        if kind == 1:
            yield number, struct.unpack("<d", data[1:9])[0]
            data = data[9:]
        else:
            assert kind == 2
            yield number, data[2 : 2 + data[1]]
            data = data[2 + data[1] :]


def places(blob: bytes) -> list[float]:
    found = []
    for number, beat in fields(blob):
        assert number == 1
        assert isinstance(beat, bytes)
        place = dict(fields(beat))[1]
        assert isinstance(place, float)
        found.append(place)
    return found


def test_a_constant_grid_is_a_tempo_and_a_first_beat() -> None:
    version, blob = mixxx.beats(track(bpm=127.953, segments=(Segment(0.25, 127.953),)))
    assert version == "BeatGrid-2.0"
    bpm, beat = (value for _, value in fields(blob))
    assert isinstance(bpm, bytes)
    assert isinstance(beat, bytes)
    assert [number for number, _ in fields(blob)] == [1, 2]
    assert list(fields(bpm)) == [(1, 127.953)]
    assert list(fields(beat)) == [(1, 0.25 * RATE)]


def test_a_grid_that_changes_is_every_beat_once() -> None:
    segments = (Segment(0.5, 120.0), Segment(10.51, 90.0))
    version, blob = mixxx.beats(track(samples=20 * RATE, segments=segments))
    assert version == "BeatMap-1.0"
    seconds = [place / RATE for place in places(blob)]
    first = [0.5 + beat * 0.5 for beat in range(20)]
    second = [10.51 + beat * 60 / 90 for beat in range(14)]
    assert seconds == pytest.approx(first + second, abs=0.5 / RATE)
    assert all(place.is_integer() for place in places(blob))


def test_beats_are_in_the_time_of_mixxx() -> None:
    codec = CodecFacts("mp3", RATE, 1105, None, 1152, "D")
    _, blob = mixxx.beats(track(codec=codec))
    assert struct.unpack("<d", blob[-8:])[0] == 0.25 * RATE + 1105


@pytest.fixture
def library() -> Iterator[sqlite3.Connection]:
    database = sqlite3.connect(":memory:")
    database.executescript(
        "CREATE TABLE track_locations (id INTEGER PRIMARY KEY, filename TEXT);"
        "CREATE TABLE library (id INTEGER PRIMARY KEY, location INTEGER, duration REAL,"
        " bpm REAL, beats BLOB, beats_version TEXT, beats_sub_version TEXT);"
    )
    yield database
    database.close()


@pytest.mark.parametrize("name", ["song.mp3", "it's; DROP TABLE library; --'.mp3"])
def test_the_script_sets_the_beats_of_this_song_and_no_other(
    library: sqlite3.Connection, name: str
) -> None:
    library.executemany(
        "INSERT INTO track_locations VALUES (?, ?)", [(1, name), (2, name), (3, "x")]
    )
    library.executemany(
        "INSERT INTO library (id, location, duration) VALUES (?, ?, ?)",
        [(1, 1, 600.4), (2, 2, 300.0), (3, 3, 600.0)],
    )
    song = track(location=f"/music/{name}")
    library.executescript(mixxx.render(song).decode())
    rows = library.execute("SELECT id, bpm, beats, beats_version FROM library")
    version, blob = mixxx.beats(song)
    none = (None, None, None)
    assert rows.fetchall() == [(1, 128.0, blob, version), (2, *none), (3, *none)]


def test_without_a_pulse_the_script_does_nothing(library: sqlite3.Connection) -> None:
    script = mixxx.render(track(bpm=0.0, segments=())).decode()
    library.executescript(script)
    assert script.startswith("--")
