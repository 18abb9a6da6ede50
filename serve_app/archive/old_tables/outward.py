"""Writes the state of media to the old API's tables."""

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from serve_app.archive.identity import UNKNOWN, Identity, digest
from serve_app.archive.kind import Fetch
from serve_app.archive.media import MediaState
from serve_app.archive.old_tables.changes import Changes, Shown, taken
from serve_app.archive.old_tables.each import for_each
from serve_app.archive.old_tables.errors import RowRefused
from serve_app.archive.old_tables.rows import Place, QueueRow, StoreRow, store_row
from serve_app.archive.old_tables.tables import OldTables
from serve_app.errors import AppError, JobNotFound
from serve_app.jobs.log import quoted

logger = logging.getLogger(__name__)

_PAGE = 100
# The API doesn't wait for its insert, which may come after its trigger.
_INSERT_SECONDS = 10.0
_TAKEN_DOWN = "The media was taken down. An operator can allow it."


@dataclass(frozen=True)
class Archive:
    """What the tables need of the archive.

    `add` adds the job of a fetch, or only keeps the newest URL if there is one; it
    raises AppError for what is not fetched. `cancel` ends a job by its id, and
    `give_up` records why media, by its key, is not tried again. `place` returns where
    an object is, by its key and the name of its store. `public_url` is that of the
    process that streams, without a slash at its end.
    """

    add: Callable[[Fetch], object]
    cancel: Callable[[str], object]
    give_up: Callable[[str, AppError], object]
    place: Callable[[str, str], Place]
    public_url: str
    clock: Callable[[], datetime]


class Outward:
    """Writes what changed, each time until the tables have it.

    Methods block, and raise TablesUnavailable.
    """

    def __init__(self, tables: OldTables, changes: Changes, archive: Archive) -> None:
        self._tables = tables
        self._changes = changes
        self._archive = archive

    def write_changed(self, within_seconds: float | None = None) -> None:
        """Write all media that changed, or all that changed lately."""
        after = ""
        while page := self._changes.changed(after, _PAGE, within_seconds):
            after = digest(page[-1].key)
            for_each(((shown,) for shown in page), self._try_to_write)

    def restore_missing(self, after: str) -> str:
        """Write rows of `video_store` again that a page of media lacks.

        `after` is where the previous page ended. Returns where this one ends, or ""
        after the last.
        """
        page = self._changes.ready(after, _PAGE)
        if not page:
            return ""
        stored = self._tables.stored_among(shown.identity.mal_id for shown in page)
        missing = [shown for shown in page if shown.identity not in stored]
        for_each(((shown,) for shown in missing), self.write)
        return digest(page[-1].key)

    def write(self, shown: Shown) -> None:
        """Write the state of media, unless someone asks for something else there."""
        was_ready = shown.before is not None and shown.before.state == MediaState.READY
        # The row of `video_store` comes first: with it the API sees ready media.
        if shown.state is MediaState.READY:
            self._put_stored(shown, was_ready=was_ready)
        elif shown.is_blocked or was_ready:
            self._tables.remove_stored(shown.identity)
        row = self._tables.queue_row(shown.identity)
        is_written = self._insert(shown) if row is None else self._update(row, shown)
        if is_written:
            self._changes.written(shown.key, shown.now)

    def _put_stored(self, shown: Shown, *, was_ready: bool) -> None:
        row = self._stored(shown)
        if not was_ready:
            found = self._tables.find_stored(shown.identity)
            if found is not None and found.hf_path != row.hf_path:
                # Of the archive before this one. Its readers go on with that.
                return
        self._tables.put_stored(row)

    def _try_to_write(self, shown: Shown) -> None:
        """Write media; one that the tables refuse holds up no other."""
        try:
            self.write(shown)
        except RowRefused as err:
            logger.warning(
                "old tables refused media key=%s error=%s",
                quoted(shown.key),
                quoted(err.detail),
            )
            self._changes.refused(shown.key, shown.now)

    def _insert(self, shown: Shown) -> bool:
        waits_until = shown.created_at + timedelta(seconds=_INSERT_SECONDS)
        if self._archive.clock() < waits_until:
            return False
        try:
            self._tables.add_queue_row(
                shown.identity, shown.now.url, shown.state, _values(shown, 0)
            )
        except RowRefused as err:
            if shown.state in (MediaState.READY, MediaState.FAILED):
                raise
            self._give_up(shown, err)
            return False
        return True

    def _give_up(self, shown: Shown, err: RowRefused) -> None:
        """Fail media whose row the tables refuse: the API would never see it."""
        logger.warning(
            "media failed key=%s error=%s", quoted(shown.key), quoted(err.detail)
        )
        self._archive.give_up(shown.key, err)
        if shown.job_id is not None:
            with suppress(JobNotFound):
                self._archive.cancel(shown.job_id)

    def _update(self, row: QueueRow, shown: Shown) -> bool:
        is_asked_for = row.status is MediaState.PENDING and shown.before != taken(
            row.url
        )
        if is_asked_for and shown.state is MediaState.FAILED:
            # Someone set it back; `Inward` starts it.
            return False
        has_new_url = shown.before is not None and row.url not in (
            shown.before.url,
            shown.now.url,
        )
        is_done = shown.is_blocked or shown.state is MediaState.READY
        if has_new_url and not is_done and self._take_url(row, shown):
            return False
        return self._tables.change(row, _values(shown, row.retry_count))

    def _take_url(self, row: QueueRow, shown: Shown) -> bool:
        """Keep the URL of a row for the next attempt, unless it is not allowed."""
        try:
            self._archive.add(Fetch(shown.key, row.url, shown.identity))
        except AppError as err:
            if err.retryable:
                raise
            logger.warning(
                "newer url of media refused key=%s error=%s",
                quoted(shown.key),
                quoted(err.detail),
            )
            return False
        return True

    def _stored(self, shown: Shown) -> StoreRow:
        place = self._archive.place(shown.object_key or "", shown.store or "")
        url = stream_url(self._archive.public_url, shown.identity)
        return store_row(shown.identity, place, url)


def stream_url(public_url: str, identity: Identity) -> str:
    """Return the public URL of `GET /stream/...` for an episode."""
    names = (identity.provider, identity.resolution or UNKNOWN)
    path = "/".join(quote(name, safe="") for name in names)
    return f"{public_url}/stream/{identity.mal_id}/{identity.episode}/{path}"


def _values(shown: Shown, retry_count: int) -> dict[str, Any]:
    """Return the columns to write.

    `retry_count` is the row's: it counts the jobs that failed, also if this is written
    twice.
    """
    values = {
        "video_url": shown.now.url,
        "status": shown.state.value,
        "error_message": None,
    }
    if shown.state is not MediaState.FAILED:
        return values
    return {
        **values,
        "error_message": _TAKEN_DOWN if shown.is_blocked else shown.error,
        "retry_count": max(retry_count, shown.failures),
    }
