"""What jobs have used."""

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True)
class JobUsage:
    """What a job used: audio, the time of a device, and files in both directions.

    `device_seconds` are the job's share of the batches that its audio was part of.
    `bytes_in` is the size of its song, `bytes_out` that of its results.
    """

    audio_seconds: float = 0.0
    device_seconds: float = 0.0
    bytes_in: int = 0
    bytes_out: int = 0


@dataclass(frozen=True)
class DayUsage:
    """What the jobs of a tenant used that were sent on one day (UTC).

    `tenant` is empty for jobs without a tenant.
    """

    day: date
    tenant: str
    jobs: int
    audio_seconds: float
    device_seconds: float
    bytes_in: int
    bytes_out: int
