"""The shapes of Hybrid Demucs that the registry offers."""

from collections.abc import Sequence

from torchaudio.models import HDemucs, hdemucs_high

# Small enough that the weights travel in the repository. CPUs with AVX-512 take
# channels in sixteens: fewer at the first level would cost the same.
DEMO_CHANNELS = 16
DEMO_GROWTH = 2
DEMO_DEPTH = 5
DEMO_FFT_SAMPLES = 4096


def high(sources: Sequence[str]) -> HDemucs:
    """Make the network of torchaudio's published 44.1 kHz weights."""
    return hdemucs_high(list(sources))


def demo(sources: Sequence[str]) -> HDemucs:
    """Make the small network of the weights that come with the package."""
    return HDemucs(
        list(sources),
        channels=DEMO_CHANNELS,
        growth=DEMO_GROWTH,
        depth=DEMO_DEPTH,
        nfft=DEMO_FFT_SAMPLES,
    )
