"""The record of what tenants have used."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from serve_app.database import Database
from serve_app.errors import InvalidInput
from serve_app.usage import table
from serve_app.usage.used import DayUsage

# A response of about 15 MB.
_MOST_ROWS = 100_000
_DEFAULT_DAYS = 30


@dataclass(frozen=True)
class Period:
    """Days, from the first to the last, in UTC."""

    first: date
    last: date

    def __post_init__(self) -> None:
        if self.first > self.last:
            raise InvalidInput(
                f"`from` must not be after `to`, got {self.first} and {self.last}."
            )


def period_of(first: date | None, last: date | None, today: date) -> Period:
    """Return the days from `first` to `last`; by default, the 30 days until today."""
    last = last or today
    return Period(first or min(today, last) - timedelta(days=_DEFAULT_DAYS), last)


class UsageStore:
    """Reads what tenants have used; methods block and may raise Unavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def listed(self, period: Period, tenant: str | None) -> Sequence[DayUsage]:
        """Return the days on which a tenant, or each tenant for None, used something.

        Raises InvalidInput if they are too many for one list.
        """
        with self._database.reading() as connection:
            found = table.listed(
                connection, period.first, period.last, tenant, _MOST_ROWS + 1
            )
        if len(found) > _MOST_ROWS:
            raise InvalidInput(
                f"The list would have more than {_MOST_ROWS} rows. Choose fewer days "
                "with `from` and `to`, or one tenant with `tenant`."
            )
        return found
