"""Hybrid Demucs in three stages: the transform, the network proper, the inverse.

Only the middle stage has weights. It can run at a lower precision or in another
runtime, while the Fourier transforms and the scales stay in float32.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchaudio.models import HDemucs

# Hybrid Demucs's guard against a division by the zero deviation of silence.
_EPSILON = 1e-5
CHANNELS = 2
# The sum of squared Hann windows spaced a quarter of their length apart.
_WINDOWS_SUM = 1.5


@dataclass(frozen=True)
class Scales:
    """Mean and deviation of spectrum and wave, each (batch, 1, ...), and the length."""

    mean: Tensor
    deviation: Tensor
    time_mean: Tensor
    time_deviation: Tensor
    samples: int


class Core(nn.Module):
    """The encoders and decoders of an `HDemucs`; it takes over its layers."""

    embedding: Tensor

    def __init__(self, network: HDemucs) -> None:
        super().__init__()
        self.freq_encoder = network.freq_encoder
        self.freq_decoder = network.freq_decoder
        self.time_encoder = network.time_encoder
        self.time_decoder = network.time_decoder
        # Computed once, because it is the same for every window.
        weight = network.freq_emb_scale * network.freq_emb.weight
        self.register_buffer("embedding", weight.detach().t()[None, :, :, None].clone())

    def forward(self, freq: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
        """Map a spectrum (batch, 4, bins, frames) and a wave (batch, 2, samples).

        The results have the same shapes, with 4 and 2 channels for each source.
        """
        saved: list[Tensor] = []
        saved_time: list[Tensor] = []
        lengths: list[int] = []
        lengths_time: list[int] = []
        for index, encode in enumerate(self.freq_encoder):
            lengths.append(freq.shape[-1])
            inject = None
            if index < len(self.time_encoder):
                lengths_time.append(time.shape[-1])
                time = self.time_encoder[index](time)
                # The wave's last encoder only feeds the spectrum's branch.
                if index == len(self.time_encoder) - 1:
                    inject = time
                else:
                    saved_time.append(time)
            freq = encode(freq, inject)
            if index == 0:
                freq = freq + self.embedding
            saved.append(freq)

        freq = torch.zeros_like(freq)
        apart = len(self.freq_decoder) - len(self.time_decoder)
        for index, decode in enumerate(self.freq_decoder):
            freq, before = decode(freq, saved.pop(), lengths.pop())
            if index < apart:
                continue
            if index == apart:
                time, skip = before[:, :, 0], None
            else:
                skip = saved_time.pop()
            time, _ = self.time_decoder[index - apart](time, skip, lengths_time.pop())
        return freq, time


class Hybrid(nn.Module):
    """An `HDemucs` split into stages; `forward` computes the same."""

    window: Tensor

    def __init__(self, network: HDemucs) -> None:
        super().__init__()
        self.core = Core(network)
        self.sources = len(network.sources)
        self.fft_samples = int(network.nfft)
        self.hop_samples = int(network.hop_length)
        # A frame's centre is half a hop after the start of its hop.
        self.margin_samples = (self.fft_samples - self.hop_samples) // 2
        self.register_buffer("window", torch.hann_window(self.fft_samples))

    def forward(self, mix: Tensor) -> Tensor:
        """Map mixes (batch, 2, samples) to stems (batch, source, 2, samples).

        The number of samples must be a multiple of the hop, as all windows' are.
        """
        freq, time, scales = self.front(mix)
        precision = self.core.embedding.dtype
        freq, time = self.core(freq.to(precision), time.to(precision))
        return self.back(freq.float(), time.float(), scales)

    def front(self, mix: Tensor) -> tuple[Tensor, Tensor, Scales]:
        """Return the normalised spectrum (batch, 4, bins, frames), wave and scales."""
        padded = functional.pad(mix, (self.margin_samples,) * 2, mode="reflect")
        frames = padded.unfold(-1, self.fft_samples, self.hop_samples) * self.window
        bins = torch.fft.rfft(frames, norm="ortho")[..., : self.fft_samples // 2]
        # Channels are left real, left imaginary, right real, right imaginary.
        freq = torch.view_as_real(bins).permute(0, 1, 4, 3, 2).flatten(1, 2)
        freq = freq.contiguous()
        freq, mean, deviation = _normalised(freq)
        time, time_mean, time_deviation = _normalised(mix)
        scales = Scales(mean, deviation, time_mean, time_deviation, mix.shape[-1])
        return freq, time, scales

    def back(self, freq: Tensor, time: Tensor, scales: Scales) -> Tensor:
        """Return the stems (batch, source, 2, samples) for the results of `core`."""
        batch, _, bins, frames = freq.shape
        wave = time.view(batch, self.sources, 2, scales.samples)
        # Long-lived tensors are allocated first, temporary ones source by source: the
        # freed blocks are small and adjacent, and the heap does not fragment.
        stems = wave * scales.time_deviation[:, None]
        stems += scales.time_mean[:, None]
        complex_first = freq.view(batch, self.sources, 2, 2, bins, frames)
        spectrum = freq.new_empty((batch, 2, frames, bins + 1, 2))
        # `front` left out the bin at half the sample rate.
        spectrum[..., bins, :] = 0
        for source in range(self.sources):
            complex_last = complex_first[:, source].permute(0, 1, 4, 3, 2)
            torch.addcmul(
                scales.mean[..., None],
                complex_last,
                scales.deviation[..., None],
                out=spectrum[..., :bins, :],
            )
            # Real samples have no imaginary part at 0 Hz. CPUs ignore what the network
            # says there; cuFFT's result with it is undefined.
            spectrum[..., 0, 1] = 0
            stems[:, source] += self._waves(torch.view_as_complex(spectrum))
        return stems

    def _waves(self, spectrum: Tensor) -> Tensor:
        """Overlap and add the frames of spectra (..., frames, bins + 1)."""
        hops = self.fft_samples // self.hop_samples
        waves = torch.fft.irfft(spectrum, norm="ortho")
        waves *= self.window / _WINDOWS_SUM
        frames = waves.shape[-2]
        parts = waves.view(*waves.shape[:-1], hops, self.hop_samples)
        added = waves.new_zeros(
            (*waves.shape[:-2], frames + hops - 1, self.hop_samples)
        )
        for hop in range(hops):
            added[..., hop : hop + frames, :] += parts[..., hop, :]
        whole: Tensor = added.flatten(-2)
        return whole[..., self.margin_samples : -self.margin_samples]


def _normalised(values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    dims = tuple(range(1, values.dim()))
    mean = values.mean(dims, keepdim=True)
    normalised = values - mean
    # `std_mean` uses one core only, and `vector_norm` is 50 dB less accurate.
    total = normalised.square().sum(dims, keepdim=True)
    deviation = (total / (values[0].numel() - 1)).sqrt()
    normalised /= _EPSILON + deviation
    return normalised, mean, deviation
