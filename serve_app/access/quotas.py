"""What a tenant may use."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Quotas:
    """The limits of a tenant; None is the default of the settings.

    `requests_per_minute` is counted by each Api, the others in the database.
    """

    requests_per_minute: int | None = None
    jobs_at_once: int | None = None
    jobs_queued: int | None = None
    audio_minutes_per_day: float | None = None
    stored_bytes: int | None = None


NO_QUOTAS = Quotas()
