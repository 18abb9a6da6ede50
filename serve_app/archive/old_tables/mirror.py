"""The loop that keeps the old API's tables and the archive's media the same."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from serve_app.archive.old_tables.changes import Changes
from serve_app.archive.old_tables.each import for_each
from serve_app.archive.old_tables.inward import Inward
from serve_app.archive.old_tables.outward import Archive, Outward
from serve_app.archive.old_tables.port import TableName
from serve_app.archive.old_tables.tables import OldTables
from serve_app.errors import AppError
from serve_app.jobs.log import quoted

logger = logging.getLogger(__name__)

_POLL_SECONDS = 5.0
_RECONCILE_SECONDS = 60.0
# Older changes are found each minute.
_RECENT_SECONDS = 180.0
# How much of the tables a reconciliation looks at; the next one goes on behind it.
_PAGES = 10
_DUPLICATES_PAGE = 500


class OldTablesLoop:
    """Reads requests from the tables, and writes the state of media to them.

    Two of them may run at once, and each may be killed at any time: each write leads to
    the same rows when it is repeated. While the tables are unavailable nothing is lost:
    what changed is written when they are back.
    """

    def __init__(self, tables: OldTables, changes: Changes, archive: Archive) -> None:
        self._tables = tables
        self._outward = Outward(tables, changes, archive)
        self._inward = Inward(tables, changes, archive, self._outward)
        self._clock = archive.clock
        self._reconciled_at: datetime | None = None
        self._trouble: str | None = None
        self._restored_to = ""
        self._merged = dict.fromkeys(TableName, 0)

    async def run_forever(self) -> None:
        """Work until cancelled."""
        while True:
            try:
                await asyncio.to_thread(self.step)
                self._say(None)
            except Exception as err:
                # The loop must go on: the tables may be reachable again later.
                self._say(err)
            await asyncio.sleep(_POLL_SECONDS)

    def status(self) -> Mapping[str, Any]:
        """Return the status for operators; `trouble` is the last error, or None."""
        at = self._reconciled_at
        reconciled_at = None if at is None else at.isoformat()
        status = {"trouble": self._trouble, "reconciled_at": reconciled_at}
        return {"old_tables": status}

    def step(self) -> None:
        """Read and write once, and reconcile if a minute has passed."""
        parts: list[Callable[[], object]] = [
            self._inward.take_pending,
            lambda: self._outward.write_changed(_RECENT_SECONDS),
        ]
        now = self._clock()
        pause = timedelta(seconds=_RECONCILE_SECONDS)
        is_due = self._reconciled_at is None or now >= self._reconciled_at + pause
        if is_due:
            parts += [
                self._outward.write_changed,
                self._inward.take_left_over,
                self._restore,
                self._merge,
            ]
        for_each(((part,) for part in parts), lambda part: part())
        if is_due:
            self._reconciled_at = now

    def _restore(self) -> None:
        for _ in range(_PAGES):
            self._restored_to = self._outward.restore_missing(self._restored_to)
            if not self._restored_to:
                return

    def _merge(self) -> None:
        for table, offset in self._merged.items():
            for _ in range(_PAGES):
                found = self._tables.merge_duplicates(table, offset, _DUPLICATES_PAGE)
                # A page behind may begin with the last row's duplicate.
                offset += max(found - 1, 1)
                if found < _DUPLICATES_PAGE:
                    offset = 0
                    break
            self._merged[table] = offset

    def _say(self, err: Exception | None) -> None:
        """Log an error once, and again when it changes; and that it is over."""
        trouble = None if err is None else str(err)
        if trouble == self._trouble:
            return
        self._trouble = trouble
        if err is None:
            logger.info("old tables in step again")
            return
        known = isinstance(err, AppError)
        logger.warning(
            "old tables not in step error=%s",
            quoted(str(err)),
            exc_info=None if known else err,
        )
