import io

import numpy as np
import pytest
import soundfile

from serve_app.audio import wave


@pytest.mark.parametrize("sample_rate", [8000, 44_100, 192_000])
def test_readers_understand_it(sample_rate: int) -> None:
    block = np.linspace(-1, 1, 2000, dtype=np.float32).reshape(2, 1000)
    stream = wave.header(1000, sample_rate) + wave.data(block[:, :300])
    found, rate = soundfile.read(
        io.BytesIO(stream + wave.data(block[:, 300:])), dtype="float32"
    )
    assert rate == sample_rate
    assert found.shape == (1000, 2)
    assert np.abs(found.T - block).max() <= 2.0**-15
    assert soundfile.info(io.BytesIO(stream)).subtype == "PCM_16"


def test_what_is_over_full_scale_clips() -> None:
    block = np.array([[2.0], [-2.0]], np.float32)
    assert wave.data(block) == b"\xff\x7f\x00\x80"


def test_a_length_that_has_no_room_in_the_header_is_the_largest() -> None:
    head = wave.header(2**40, 44_100)
    assert int.from_bytes(head[4:8], "little") == 2**32 - 1
    assert len(head) == 44
