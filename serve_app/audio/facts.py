"""The facts measured by decoding a whole song."""

from dataclasses import dataclass


@dataclass(frozen=True)
class AudioFacts:
    """Facts of a song's audio. `samples` are per channel; full scale is 1.

    `mean` is the mono mix's mean, `side_mean` half the difference of the left channel's
    mean and the right one's. `deviation` is the mono mix's sample standard deviation
    (n - 1), but at least a quarter of the two channels', so that it is not 0 if the
    channels cancel each other. All are at the song's own rate.
    `peak` is the largest magnitude in any channel. `sha256` hashes the decoded samples:
    it is equal for songs with equal samples. `tags_sha256` hashes the tags that the
    song's stems get.
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
