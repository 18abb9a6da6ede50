"""Splitting Hybrid Demucs and rewriting its layers keeps its results."""

import copy
import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchaudio.models import HDemucs, hdemucs_high
from torchaudio.models._hdemucs import _DConv, _HDecLayer, _HEncLayer, _LocalState

from serve_app.separation import networks, rewrites
from serve_app.separation.hybrid import Hybrid

SOURCES = ("drums", "bass", "other", "vocals")
EXACT_DB = 120


def ratio_db(expected: Tensor, found: Tensor) -> float:
    """Return the signal-to-noise ratio of `found` against `expected`."""
    error = (expected.double() - found.double()).square().sum()
    return float(10 * torch.log10(expected.double().square().sum() / error))


def stirred(module: Any) -> Any:
    """Replace weights initialised to ones, zeros or tiny values by random ones."""
    torch.manual_seed(3)
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, nn.GroupNorm):
                part.weight.uniform_(0.5, 1.5)
                part.bias.uniform_(-0.5, 0.5)
            elif isinstance(part, _LocalState):
                part.query_decay.weight.normal_(0, 0.3)
            elif type(part).__name__ == "_LayerScale":
                part.scale.uniform_(-1, 1)
    return module.eval().requires_grad_(False)


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(5))


@pytest.fixture(autouse=True)
def _plainly() -> Iterator[None]:
    """Disable gradients, and use one thread, because passes are small."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.inference_mode():
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def network() -> HDemucs:
    return stirred(networks.demo(SOURCES))


@pytest.mark.parametrize("batch", [1, 3])
def test_the_parts_make_the_whole(network: HDemucs, batch: int) -> None:
    mix = noise(batch, 2, 20_480) + 0.1
    apart = Hybrid(copy.deepcopy(network))
    assert ratio_db(network(mix), apart(mix)) > EXACT_DB


def test_spectra_are_those_of_real_samples(
    network: HDemucs, monkeypatch: pytest.MonkeyPatch
) -> None:
    inverse = torch.fft.irfft
    seen: list[Tensor] = []

    def recorded(spectrum: Tensor, **options: Any) -> Tensor:
        seen.append(spectrum.clone())
        return inverse(spectrum, **options)

    monkeypatch.setattr(torch.fft, "irfft", recorded)
    Hybrid(copy.deepcopy(network))(noise(1, 2, 20_480))
    for spectrum in seen:
        assert spectrum.abs().max() > 0
        assert spectrum[..., [0, -1]].imag.abs().max() == 0


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("rows", ["blocks", "batch", "in place"])
@pytest.mark.parametrize("winograd", [True, False])
def test_the_rewritten_whole_is_the_same(
    network: HDemucs, batch: int, rows: rewrites.Rows, winograd: bool
) -> None:
    mix = noise(batch, 2, 20_480) + 0.1
    fast = rewrites.rewritten(copy.deepcopy(network), rows, winograd)
    assert ratio_db(network(mix), fast(mix)) > EXACT_DB


def test_the_full_size_network_is_the_same() -> None:
    torch.manual_seed(1)
    full = stirred(hdemucs_high(list(SOURCES)))
    mix = noise(1, 2, 20_480)
    expected = full(mix)
    assert ratio_db(expected, rewrites.rewritten(full)(mix)) > EXACT_DB


def test_silence_stays_finite(network: HDemucs) -> None:
    mix = torch.zeros(1, 2, 20_480)
    fast = rewrites.rewritten(copy.deepcopy(network))
    assert torch.allclose(fast(mix), network(mix), atol=1e-6)


@pytest.mark.parametrize("stride", [2, 4])
@pytest.mark.parametrize("length", [1, 2, 17])
def test_a_transposed_convolution_is_a_convolution_laid_out(
    stride: int, length: int
) -> None:
    torch.manual_seed(0)
    flat = nn.ConvTranspose1d(6, 5, 2 * stride, stride).double()
    tall = nn.ConvTranspose2d(6, 5, (2 * stride, 1), (stride, 1)).double()
    for layer, shape in ((flat, (2, 6, length)), (tall, (2, 6, length, 7))):
        x = noise(*shape).double()
        found = rewrites.Upsample(layer)(x)
        assert found.shape == layer(x).shape
        assert ratio_db(layer(x), found) > EXACT_DB


def test_a_kernel_that_is_not_twice_its_stride_is_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        rewrites.Upsample(nn.ConvTranspose1d(2, 2, 6, 2))


@pytest.mark.parametrize("frames", [1, 30, 250])
def test_attention_in_one_piece_is_the_same(frames: int) -> None:
    layer = stirred(_LocalState(16))
    x = noise(2, 16, frames)
    assert ratio_db(layer(x), rewrites.Attention(layer)(x)) > EXACT_DB


@pytest.mark.parametrize("deep", [False, True])
def test_scales_fold_into_the_norms_before_them(deep: bool) -> None:
    layer = stirred(_DConv(32, lstm=deep, attn=deep))
    x = noise(2, 32, 250)
    expected = layer(x)
    assert ratio_db(expected, rewrites.Residual(layer)(x)) > EXACT_DB
    assert ratio_db(expected, x) < 40  # The layer does do something.


@pytest.mark.parametrize("kernel", [1, 3])
def test_a_convolution_with_its_norm_is_the_same(kernel: int) -> None:
    conv = nn.Conv1d(8, 12, kernel, dilation=2, padding=kernel - 1)
    norm = stirred(nn.GroupNorm(1, 12))
    # A mean much larger than the deviation.
    x = 0.01 * noise(3, 8, 250) + 5
    expected = norm(conv(x))
    joined = rewrites.NormedConvolution(conv, norm)
    assert ratio_db(expected, joined(x)) > 80
    assert joined(torch.zeros(1, 8, 4)).isfinite().all()


def test_a_norm_of_several_groups_is_not_joined() -> None:
    with pytest.raises(ValueError, match="one group"):
        rewrites.NormedConvolution(nn.Conv1d(8, 12, 1), nn.GroupNorm(2, 12))


@pytest.mark.parametrize("block_bytes", [1, 10_000, 2**30])
def test_rows_in_blocks_are_the_same(
    block_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rewrites, "BLOCK_BYTES", block_bytes)
    layer = stirred(_HEncLayer(4, 16, norm_type="none"))
    x = noise(2, 4, 64, 9)
    found = rewrites.RowsEncoder(copy.deepcopy(layer), "blocks")(x)
    assert ratio_db(layer(x), found) > EXACT_DB


def test_rows_that_stay_in_place_are_the_same() -> None:
    layer = stirred(_HEncLayer(4, 16, norm_type="none"))
    x = noise(2, 4, 64, 9)
    expected = layer(x)
    assert ratio_db(expected, rewrites.SpectrumEncoder(layer)(x)) > EXACT_DB


@pytest.mark.parametrize("bins", [1, 3, 8, 16, 37])
def test_a_convolution_by_winograd_is_the_same(bins: int) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(12, 24, 3, padding=1)
    x, skip = noise(2, 12, bins, 9), noise(2, 12, bins, 9) + 0.5
    expected = nn.functional.glu(conv(x + skip), dim=1)
    assert ratio_db(expected, rewrites.WinogradGate(conv)(x, skip)) > EXACT_DB


def test_winograd_s_filter_has_one_kernel() -> None:
    with pytest.raises(ValueError, match="3x3"):
        rewrites.WinogradGate(nn.Conv2d(4, 8, 3))


def test_the_norm_of_a_row_bears_a_mean_far_above_its_deviation() -> None:
    norm = stirred(nn.GroupNorm(1, 6))
    rows = noise(1, 6, 5, 50) + 100
    expected = norm(rows.double().transpose(1, 2)[0].float()).transpose(0, 1)[None]
    assert ratio_db(expected, rewrites.RowNorm(norm)(rows)) > 100


@pytest.mark.parametrize("freq", [True, False])
@pytest.mark.parametrize("norm", ["none", "group_norm"])
@pytest.mark.parametrize("last", [True, False])
def test_decoders_are_the_same(freq: bool, norm: str, last: bool) -> None:
    layer = stirred(_HDecLayer(16, 8, last=last, freq=freq, norm_type=norm))
    x = noise(2, 16, 10, 9) if freq else noise(2, 16, 90)
    skip = noise(*x.shape)
    length = math.prod(x.shape[2:]) * 4 - 1
    expected, before = layer(x, skip, length)
    found, before_found = rewrites.Decoder(copy.deepcopy(layer))(x, skip, length)
    assert ratio_db(expected, found) > EXACT_DB
    assert ratio_db(before, before_found) > EXACT_DB
