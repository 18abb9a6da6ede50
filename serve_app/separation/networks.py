"""The networks of the registry: Hybrid Demucs in two sizes, and one that is none."""

from collections.abc import Sequence

from torch import Tensor, nn
from torchaudio.models import HDemucs, hdemucs_high

# Small enough to ship the weights in the repository. CPUs with AVX-512 process 16
# channels at a time: fewer at the first level would cost as much.
DEMO_CHANNELS = 16
DEMO_GROWTH = 2
DEMO_DEPTH = 5
DEMO_FFT_SAMPLES = 4096


def high(sources: Sequence[str]) -> HDemucs:
    """Create the network of torchaudio's published 44.1 kHz weights."""
    return hdemucs_high(list(sources))


def demo(sources: Sequence[str]) -> HDemucs:
    """Create the small network of the weights bundled with the package."""
    return HDemucs(
        list(sources),
        channels=DEMO_CHANNELS,
        growth=DEMO_GROWTH,
        depth=DEMO_DEPTH,
        nfft=DEMO_FFT_SAMPLES,
    )


class Passthrough(nn.Module):
    """Divide the mix equally among the sources, which costs next to nothing."""

    def __init__(self, sources: int) -> None:
        super().__init__()
        self._sources = sources

    def forward(self, mix: Tensor) -> Tensor:
        """Map mixes (batch, 2, window) to stems (batch, source, 2, window)."""
        return (mix / self._sources)[:, None].repeat(1, self._sources, 1, 1)


def passthrough(sources: Sequence[str]) -> Passthrough:
    """Create the network for load tests."""
    return Passthrough(len(sources))
