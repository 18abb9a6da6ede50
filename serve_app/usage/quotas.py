"""What a tenant may use."""

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Quotas:
    """The limits of a tenant; None is the default of the settings, or no limit.

    `requests_per_minute` is counted by each Api, the others in the database. Of these,
    `jobs_at_once` and `jobs_queued` are counted for each kind of job.
    """

    requests_per_minute: int | None = None
    jobs_at_once: int | None = None
    jobs_queued: int | None = None
    audio_minutes_per_day: float | None = None
    stored_bytes: int | None = None

    def over(self, defaults: "Quotas") -> "Quotas":
        """Return these limits, and those of `defaults` where there is none."""
        given = {each.name: getattr(self, each.name) for each in fields(self)}
        return Quotas(
            **{
                name: getattr(defaults, name) if value is None else value
                for name, value in given.items()
            }
        )


NO_QUOTAS = Quotas()
