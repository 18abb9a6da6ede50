"""How much a song may be, and what decoding it may take."""

from dataclasses import dataclass


@dataclass(frozen=True)
class AudioLimits:
    """The songs that are taken.

    4 kHz is half of telephony's rate and 192 kHz the highest of music in shops: what
    is outside is a broken header or not a song. `max_values` are samples times
    channels: the work of decoding a song.
    """

    max_duration_seconds: float
    max_values: int = 2_100_000_000
    min_sample_rate: int = 4_000
    max_sample_rate: int = 192_000


@dataclass(frozen=True)
class ProcessLimits:
    """What a process may use that decodes one song.

    `wall_seconds` is longer than `cpu_seconds`: the process shares the machine.
    """

    cpu_seconds: int
    memory_bytes: int
    wall_seconds: float
