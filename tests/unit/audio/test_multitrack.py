from pathlib import Path

import av
import numpy as np
import pytest

from serve_app.audio.multitrack import CODECS, MultitrackEncoder
from tests import media


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("rate", [22_050, 44_100, 48_000, 96_000])
def test_all_tracks_are_as_long_as_what_was_written(
    tmp_path: Path, codec: str, rate: int
) -> None:
    encoder = MultitrackEncoder(tmp_path / "a.mp4", codec, rate, 3)
    wave = media.song(0.5, rate)
    for start in range(0, wave.shape[1], 5_003):
        encoder.write([wave[:, start : start + 5_003]] * 3)
    encoder.write([wave[:, :0]] * 3)
    encoder.close()
    with av.open(str(tmp_path / "a.mp4")) as container:
        streams = container.streams.audio
        assert [(s.rate, s.duration * s.time_base * rate) for s in streams] == [
            (rate, wave.shape[1])
        ] * 3


def test_tracks_of_two_lengths_are_refused_and_nothing_stays(tmp_path: Path) -> None:
    encoder = MultitrackEncoder(tmp_path / "a.mp4", "alac", 44_100, 2)
    wave = np.zeros((2, 10), np.float32)
    with pytest.raises(ValueError, match=r"same length, got \["):
        encoder.write([wave, wave[:, :9]])
    encoder.abort()
    assert list(tmp_path.iterdir()) == []
