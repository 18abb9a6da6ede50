"""What is known of a song once it has been decoded whole."""

from dataclasses import dataclass


@dataclass(frozen=True)
class AudioFacts:
    """A song's audio. `samples` are per channel; full scale is 1.

    `mean` is that of the mono mix, and `side_mean` half of what the left channel's is
    over the right one's. `deviation` (the sample standard deviation, of n - 1) is that
    of the mono mix, but at least a quarter of that of the two channels, so that it is
    not 0 for channels that cancel each other. All are at the song's own rate.
    `peak` is the largest magnitude in any channel. `sha256` is the hash of what was
    decoded: songs that sound the same have the same. `tags_sha256` is that of the tags
    that their stems get.
    """

    sample_rate: int
    channels: int
    samples: int
    mean: float
    deviation: float
    peak: float
    codec: str
    sha256: str
    side_mean: float = 0.0
    tags_sha256: str = ""

    @property
    def duration_seconds(self) -> float:
        """The song's length."""
        return self.samples / self.sample_rate
