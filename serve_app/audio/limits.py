"""Limits of a song, and of the process that decodes it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class AudioLimits:
    """Limits of the songs that are accepted.

    4 kHz is half of telephony's rate and 192 kHz the highest rate at which music is
    sold: a rate outside means a broken header or a file that is not a song.
    `max_values` bounds samples times channels, the work of decoding a song.
    """

    max_duration_seconds: float
    max_values: int = 2_100_000_000
    min_sample_rate: int = 4_000
    max_sample_rate: int = 192_000


@dataclass(frozen=True)
class ProcessLimits:
    """Limits of a process that decodes one song.

    `wall_seconds` is longer than `cpu_seconds`: the process shares the machine.
    """

    cpu_seconds: int
    memory_bytes: int
    wall_seconds: float
