import io

import numpy as np
import pytest
import soundfile

from serve_app.audio.wave import FLOAT32, PCM16, WavForm


@pytest.mark.parametrize("sample_rate", [8000, 44_100, 192_000])
@pytest.mark.parametrize(
    ("form", "subtype", "peak", "exact"),
    [(PCM16, "PCM_16", 1.0, 2.0**-15), (FLOAT32, "FLOAT", 7.0, 0.0)],
    ids=["16 bits", "floats"],
)
def test_readers_understand_it(
    form: WavForm, subtype: str, peak: float, exact: float, sample_rate: int
) -> None:
    block = np.linspace(-peak, peak, 2000, dtype=np.float32).reshape(2, 1000)
    stream = form.header(1000, sample_rate) + form.data(block[:, :300])
    whole = stream + form.data(block[:, 300:])
    assert len(whole) == form.size_bytes(1000)
    found, rate = soundfile.read(io.BytesIO(whole), dtype="float32")
    assert rate == sample_rate
    assert found.shape == (1000, 2)
    assert np.abs(found.T - block).max() <= exact
    assert soundfile.info(io.BytesIO(whole)).subtype == subtype


def test_what_is_over_full_scale_clips_in_16_bits_only() -> None:
    block = np.array([[2.0], [-2.0]], np.float32)
    assert PCM16.data(block) == b"\xff\x7f\x00\x80"
    assert FLOAT32.data(block) == block.astype("<f4").tobytes()


@pytest.mark.parametrize(("form", "size"), [(PCM16, 44), (FLOAT32, 58)])
def test_a_length_that_has_no_room_in_the_header_is_the_largest(
    form: WavForm, size: int
) -> None:
    head = form.header(2**40, 44_100)
    assert int.from_bytes(head[4:8], "little") == 2**32 - 1
    assert len(head) == form.header_bytes == size
