"""Beats, times, peaks and zoom: the numbers behind what is drawn."""

import base64
import struct
from collections.abc import Iterator
from typing import Any

import pytest

from tests.page.player.conftest import player_page
from tests.page.player.server import Server


@pytest.fixture(scope="module")
def page(chromium: Any, server: Server) -> Iterator[Any]:
    with player_page(chromium, server) as opened:
        yield opened


def called(page: Any, module: str, code: str, *values: Any) -> Any:
    """Evaluate an expression with a module of the player as `it`, and `values`."""
    script = f"async values => {{ const it = await import('/page/player/{module}')"
    return page.evaluate(f"{script}; return ({code}) }}", values)


# Two bars of three, and one beat before them.
ANALYSIS = {
    "beats": [0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5],
    "downbeats": [1.0, 2.5],
    "sections": [{"start_seconds": 0.5, "end_seconds": 3.5, "label": "A", "energy": 1}],
}


@pytest.mark.parametrize(
    ("factor", "beats"),
    [
        (1, ANALYSIS["beats"]),
        (0.5, [1.0, 2.0, 3.0]),
        (2, [each / 4 for each in range(2, 15)]),
    ],
)
def test_the_grid_can_be_halved_from_a_downbeat_and_doubled(
    page: Any, factor: float, beats: list[float]
) -> None:
    code = "[...new it.Beats(...values).times]"
    assert called(page, "beats.js", code, ANALYSIS, factor) == beats


@pytest.mark.parametrize(
    ("seconds", "direction", "beat"),
    [(0.0, 1, 0.5), (0.0, -1, None), (1.0, 1, 1.5), (1.0, -1, 0.5), (3.5, 1, None)],
)
def test_the_next_beat_is_never_the_present_one(
    page: Any, seconds: float, direction: int, beat: float | None
) -> None:
    code = "new it.Beats(values[0]).beatFrom(values[1], values[2])"
    assert called(page, "beats.js", code, ANALYSIS, seconds, direction) == beat


def test_without_an_analysis_there_are_no_beats(page: Any) -> None:
    code = "[new it.Beats(null).beatFrom(1, 1), new it.Beats(null).barsAt(1, 4)]"
    assert called(page, "beats.js", code) == [None, None]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("83.5", 83.5),
        (" 1:23,5 ", 83.5),
        ("1:02:03", 3723),
        ("90:00", 5400),
        ("0:00.00", 0),
        ("1:2:3:4", None),
        ("-5", None),
        ("", None),
        ("1e9", None),
    ],
)
def test_times_are_read(page: Any, text: str, seconds: float | None) -> None:
    code = "it.parseClock(values[0])"
    assert called(page, "controls/times.js", code, text) == seconds


@pytest.mark.parametrize(
    ("seconds", "decimals", "text"),
    [
        (0, 0, "0:00"),
        (59.999, 0, "0:59"),
        (83.5, 1, "1:23.5"),
        (3723.25, 2, "1:02:03.25"),
        (0.3, 1, "0:00.3"),
    ],
)
def test_times_are_written(page: Any, seconds: float, decimals: int, text: str) -> None:
    assert (
        called(page, "controls/times.js", "it.clock(...values)", seconds, decimals)
        == text
    )


def dat(*, version: int = 2, flags: int = 1, pixels: int = 2, channels: int = 3) -> str:
    head = struct.pack("<iIiiIi", version, flags, 44_100, 147, pixels, channels)
    return base64.b64encode(head + bytes([254, 2, 252, 4, 250, 6] * 2)).decode()


PARSE = "it.parseDat(Uint8Array.from(atob(values[0]), c => c.charCodeAt(0)).buffer)"


def test_peaks_of_three_bands_are_read(page: Any) -> None:
    code = f"{PARSE}.bands.map(band => [...band])"
    assert called(page, "peaks.js", code, dat()) == [[2, 2], [4, 4], [6, 6]]


@pytest.mark.parametrize(
    "wrong",
    [{"version": 1}, {"flags": 0}, {"channels": 1}, {"pixels": 3}, {"pixels": 2**31}],
)
def test_other_data_is_refused(page: Any, wrong: dict[str, int]) -> None:
    with pytest.raises(Exception, match="not in the requested format"):
        called(page, "peaks.js", PARSE, dat(**wrong))


def test_a_zoom_keeps_the_sample_at_the_pointer(page: Any) -> None:
    code = """(() => {
      const view = new it.Viewport(240, 44100)
      view.resize(1000, 1)
      const whole = view.length
      const places = []
      for (let step = 0; !view.isClosest; step++) {
        view.zoom(-1, 0.25)
        places.push(view.secondsAt(250))
      }
      view.showAll()
      return [whole, places, view.start, view.length]
    })()"""
    whole, places, start, length = called(page, "viewport.js", code)
    # From 240 s in 1000 pixels to 300 pixels a second.
    assert places == pytest.approx([60] * 7, abs=240 / 1000)
    assert (start, length) == (0, whole)


def test_the_peaks_of_what_is_played_are_known_where_it_was_played(page: Any) -> None:
    code = """(() => {
      const peaks = new it.LivePeaks(10)
      const [left, right] = [0.25, -0.5].map(peak => {
        const channel = new Float32Array(22_050)
        channel[11_025] = peak
        return channel
      })
      peaks.add(2, 44_100, [left, right])
      return [[1, 2], [2, 2.5], [2.24, 2.26], [2.3, 2.5], [2.5, 3], [9, 12]].map(
        ([start, end]) => peaks.amplitude(start, end))
    })()"""
    found = called(page, "live_peaks.js", code)
    half = pytest.approx(0.5, abs=1 / 254)
    assert found == [None, half, half, 0, None, None]
