"""Reads from the old API's queue what is to be fetched."""

import logging
from collections import Counter
from collections.abc import Sequence

from serve_app.archive.identity import Identity
from serve_app.archive.kind import Fetch
from serve_app.archive.media import MediaState
from serve_app.archive.old_tables.changes import Changes, Shown, taken
from serve_app.archive.old_tables.each import for_each
from serve_app.archive.old_tables.outward import Archive, Outward
from serve_app.archive.old_tables.rows import QueueRow, check_lengths
from serve_app.archive.old_tables.tables import OldTables
from serve_app.errors import AppError
from serve_app.jobs.log import quoted

logger = logging.getLogger(__name__)

_PAGE = 200
# At most this many pages at once; the next call goes on behind them.
_PAGES = 5
_STARTED = (MediaState.DOWNLOADING, MediaState.UPLOADING)


class Inward:
    """Makes jobs of rows. Methods block, and raise Unavailable and QueueFull.

    A row that is pending was either written so by `Outward`, or it is a request: then
    what was written last is something else.
    """

    def __init__(
        self, tables: OldTables, changes: Changes, archive: Archive, outward: Outward
    ) -> None:
        self._tables = tables
        self._changes = changes
        self._archive = archive
        self._outward = outward
        self._offset = 0

    def take_pending(self) -> None:
        """Start what is pending, oldest first."""
        rows = self._next_pending()
        known, number = self._known(rows), Counter(row.identity for row in rows)
        asked = [
            (row, shown)
            for row in rows
            if (shown := known.get(row.identity)) is None
            or shown.before != taken(row.url)
            or number[row.identity] > 1
        ]
        try:
            for_each(asked, self._take)
        except AppError:
            self._offset = 0
            raise

    def _next_pending(self) -> list[QueueRow]:
        """Return the rows behind those of the last call; after the last the first."""
        found: list[QueueRow] = []
        for _ in range(_PAGES):
            rows = self._tables.queued([MediaState.PENDING], self._offset, _PAGE)
            found += rows
            self._offset += len(rows)
            if len(rows) < _PAGE:
                self._offset = 0
                break
        return found

    def take_left_over(self) -> None:
        """Start again what seems to be running, but has no job: after a crash.

        A row of media that is in another state is written again.
        """
        for number in range(_PAGES):
            rows = self._tables.queued(_STARTED, number * _PAGE, _PAGE)
            known = self._known(rows)
            started = [(row, known.get(row.identity)) for row in rows]
            for_each(started, self._check_started)
            if len(rows) < _PAGE:
                return

    def _known(self, rows: Sequence[QueueRow]) -> dict[Identity, Shown]:
        # By identity: an unknown resolution and one named so have the same key.
        found = self._changes.known([row.identity.key for row in rows])
        return {shown.identity: shown for shown in found}

    def _take(self, row: QueueRow, shown: Shown | None) -> None:
        current = row
        if row.identity.resolution is None:
            only = self._tables.queue_row(row.identity)
            if only is None or only.status is not MediaState.PENDING:
                return
            current = only
        if shown is not None and shown.before == taken(current.url):
            return
        if shown is not None and shown.state is MediaState.READY:
            logger.info(
                "media is ready already key=%s; to fetch it again, delete it first",
                quoted(shown.key),
            )
            self._outward.write(shown)
        elif shown is not None and _is_of_trigger(current, shown):
            self._changes.written(shown.key, taken(current.url))
        elif self._is_stored(current, shown):
            self._tables.change(current, {"status": MediaState.READY.value})
        else:
            self._start(current)

    def _is_stored(self, row: QueueRow, shown: Shown | None) -> bool:
        """Return whether the archive that was here before has stored it."""
        if shown is not None and (shown.is_blocked or shown.state in _UNFINISHED):
            return False
        return self._tables.find_stored(row.identity) is not None

    def _start(self, row: QueueRow) -> None:
        key = row.identity.key
        try:
            check_lengths(row.identity)
            self._archive.add(Fetch(key, row.url, row.identity))
        except AppError as err:
            if err.retryable:
                raise
            self._refuse(row, err)
        else:
            # Afterwards: a crash in between starts it once more, which adds nothing.
            if row.status is not MediaState.PENDING:
                self._tables.change(row, {"status": MediaState.PENDING.value})
            self._changes.written(key, taken(row.url))

    def _refuse(self, row: QueueRow, err: AppError) -> None:
        logger.warning(
            "row of the old queue refused key=%s code=%s error=%s",
            quoted(row.identity.key),
            err.code,
            quoted(err.detail),
        )
        values = {
            "status": MediaState.FAILED.value,
            "error_message": err.detail,
            "retry_count": row.retry_count + 1,
        }
        self._tables.change(row, values)

    def _check_started(self, row: QueueRow, shown: Shown | None) -> None:
        if shown is None:
            self._start(row)
        elif shown.before != shown.now:
            return  # `Outward` is about to write it.
        elif shown.state is MediaState.FAILED and not shown.is_blocked:
            self._start(row)
        elif shown.state is not row.status or row.url != shown.now.url:
            self._outward.write(shown)


_UNFINISHED = (MediaState.PENDING, *_STARTED)


def _is_of_trigger(row: QueueRow, shown: Shown) -> bool:
    """Return whether a row is the one that came with the trigger of the media."""
    return shown.before is None and shown.now.url == row.url
