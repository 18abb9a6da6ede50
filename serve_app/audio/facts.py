"""What is known of a song once it has been decoded whole."""

from dataclasses import dataclass


@dataclass(frozen=True)
class AudioFacts:
    """A song's audio. `samples` are per channel; full scale is 1.

    `mean` and `deviation` (the sample standard deviation, of n - 1) are those of the
    mono mix at the song's own rate; `peak` is the largest magnitude in any channel.
    `sha256` is the hash of what was decoded: songs that sound the same have the same.
    """

    sample_rate: int
    channels: int
    samples: int
    mean: float
    deviation: float
    peak: float
    codec: str
    sha256: str

    @property
    def duration_seconds(self) -> float:
        """The song's length."""
        return self.samples / self.sample_rate
