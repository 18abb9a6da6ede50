"""Which providers `/trigger` accepts."""

import re
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress

from serve_app.archive.errors import NotAllowed
from serve_app.archive.old_tables.errors import TablesUnavailable
from serve_app.archive.old_tables.port import Check, Tables

_KEPT_SECONDS = 60.0
# A string of SQL; a quote in it is written twice.
_STRING = re.compile(r"'((?:[^']|'')*)'")


class Providers:
    """The providers that both the operator and the tables' checks allow.

    `chosen` are those of ARCHIVE_PROVIDERS; none means all that the checks allow.
    """

    def __init__(
        self,
        chosen: Collection[str],
        tables: Tables | None,
        clock_seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._chosen = frozenset(chosen)
        self._tables = tables
        self._clock_seconds = clock_seconds
        self._checks: Sequence[Check] = ()
        self._known_until: float | None = None

    def check(self, provider: str) -> None:
        """Raise NotAllowed for a provider that is not accepted.

        While the tables are unavailable, and over PostgREST, their checks are not
        known; then a row that they refuse fails its media.
        """
        if self._chosen and provider not in self._chosen:
            raise NotAllowed(
                f"The provider {provider!r} is not allowed: ARCHIVE_PROVIDERS allows "
                f"{_listed(self._chosen)}."
            )
        for check in self._current():
            allowed = _allowed(check)
            if provider not in allowed:
                raise NotAllowed(
                    f"The provider {provider!r} is not allowed: the constraint "
                    f"`{check.name}` of the table `{check.table}` allows "
                    f"{_listed(allowed)}. Widen it by ALTER TABLE, or send another one."
                )

    def _current(self) -> Sequence[Check]:
        now = self._clock_seconds()
        if self._tables is None:
            return ()
        if self._known_until is None or now >= self._known_until:
            # The loop tells of it; a trigger doesn't wait for the tables.
            with suppress(TablesUnavailable):
                self._checks = self._tables.checks("provider") or ()
            self._known_until = now + _KEPT_SECONDS
        return [check for check in self._checks if _allowed(check)]


def _allowed(check: Check) -> frozenset[str]:
    """Return the values that a check names: `IN (…)`, `= ANY (…)`, or several `=`.

    Others, such as one of a length, name none.
    """
    if not re.search(r"=|\bIN\b", check.definition) or "<>" in check.definition:
        return frozenset()
    found = _STRING.findall(check.definition)
    return frozenset(text.replace("''", "'") for text in found)


def _listed(names: Collection[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names))
