"""The songs that are decoded at their arrival are counted."""

import asyncio

import pytest

from serve_app.errors import UnreadableAudio
from serve_app.telemetry import catalogue
from serve_app.telemetry.decodes import Decodes
from tests.unit.telemetry.meters import Tally


def test_a_song_counts_as_running_while_it_is_decoded() -> None:
    tally = Tally()
    decodes = Decodes(tally)
    with decodes.recorded(waited_seconds=1.5):
        assert tally.of(catalogue.DECODES_RUNNING) == [1]
    assert tally.of(catalogue.DECODES_RUNNING) == [1, 0]
    assert tally.of(catalogue.DECODE_WAIT_SECONDS) == [1.5]
    assert tally.of(catalogue.DECODES, outcome="ok") == [1]


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (UnreadableAudio("noise"), "unreadable_audio"),
        (RuntimeError("bug"), "internal_error"),
        (asyncio.CancelledError(), "cancelled"),
    ],
)
def test_a_song_that_is_not_decoded_is_counted_by_reason(
    error: BaseException, outcome: str
) -> None:
    tally = Tally()
    with pytest.raises(type(error)), Decodes(tally).recorded(0.0):
        raise error
    assert tally.of(catalogue.DECODES, outcome=outcome) == [1]
    assert tally.of(catalogue.DECODES_RUNNING) == [1, 0]


def test_the_gauge_is_set_without_songs_too() -> None:
    """Exporters forget gauges that are not set."""
    tally = Tally()

    async def keep_for_a_while() -> None:
        async with asyncio.timeout(0.01):
            await Decodes(tally).keep_gauge()

    with pytest.raises(TimeoutError):
        asyncio.run(keep_for_a_while())
    assert tally.of(catalogue.DECODES_RUNNING) == [0]
