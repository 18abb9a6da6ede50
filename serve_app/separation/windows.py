"""Where the windows of a song lie."""

from dataclasses import dataclass

# Hop of the spectrogram (1024) times the stride of the last layer (2): the network is
# shift-equivariant on this grid only, so starts and lengths keep to it.
GRID_SAMPLES = 2048


@dataclass(frozen=True)
class WindowSpec:
    """The length of all windows and the overlap of neighbours, both on the grid."""

    window_samples: int
    overlap_samples: int

    def __post_init__(self) -> None:
        if self.window_samples < GRID_SAMPLES or self.window_samples % GRID_SAMPLES:
            raise ValueError(f"window_samples must be a multiple of {GRID_SAMPLES}")
        if self.overlap_samples < 0 or self.overlap_samples % GRID_SAMPLES:
            raise ValueError(f"overlap_samples must be a multiple of {GRID_SAMPLES}")
        if 2 * self.overlap_samples > self.window_samples:
            raise ValueError("overlap_samples must be at most half a window")

    @property
    def hop_samples(self) -> int:
        """The distance between the starts of neighbours, but for the last window."""
        return self.window_samples - self.overlap_samples


def plan(length: int, spec: WindowSpec) -> tuple[int, ...]:
    """Return the starts of the windows that cover `length` samples, in order.

    The last window is moved back until it holds less than one grid step of padding, so
    that the network sees as much music at a song's end as elsewhere. Only a song
    shorter than a window is padded further. Raises ValueError for less than one sample.
    """
    if length < 1:
        raise ValueError("length must be at least 1 sample")
    beyond_first = max(0, length - spec.window_samples)
    last = -(-beyond_first // GRID_SAMPLES) * GRID_SAMPLES
    return (*range(0, last, spec.hop_samples), last)
