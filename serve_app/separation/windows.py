"""The positions of a song's windows."""

from dataclasses import dataclass

# The spectrogram's hop (1024) times the last layer's stride (2). The network is
# shift-equivariant only on this grid, so windows start and end on it.
GRID_SAMPLES = 2048


@dataclass(frozen=True)
class WindowSpec:
    """The length of windows and their overlap, both multiples of the grid."""

    window_samples: int
    overlap_samples: int

    def __post_init__(self) -> None:
        if self.window_samples < GRID_SAMPLES or self.window_samples % GRID_SAMPLES:
            raise ValueError(
                f"window_samples must be a positive multiple of {GRID_SAMPLES}, got "
                f"{self.window_samples}"
            )
        if self.overlap_samples < 0 or self.overlap_samples % GRID_SAMPLES:
            raise ValueError(
                f"overlap_samples must be 0 or a positive multiple of {GRID_SAMPLES}, "
                f"got {self.overlap_samples}"
            )
        if 2 * self.overlap_samples > self.window_samples:
            raise ValueError(
                "overlap_samples must be at most half of window_samples, got "
                f"{self.overlap_samples} of {self.window_samples}"
            )

    @property
    def hop_samples(self) -> int:
        """The distance between the starts of neighbours, except the last window's."""
        return self.window_samples - self.overlap_samples


def plan(length: int, spec: WindowSpec) -> tuple[int, ...]:
    """Return the starts of the windows that cover `length` samples, in order.

    The last window is moved back until it has less than one grid step of padding, so
    that the network gets as much context at a song's end as elsewhere. Only songs
    shorter than a window are padded further. Raises ValueError if `length` is below 1.
    """
    if length < 1:
        raise ValueError(f"length must be at least 1 sample, got {length}")
    beyond_first = max(0, length - spec.window_samples)
    last = -(-beyond_first // GRID_SAMPLES) * GRID_SAMPLES
    return (*range(0, last, spec.hop_samples), last)
