"""Which media the old tables don't show yet as it is."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Row,
    Select,
    case,
    func,
    literal,
    or_,
    select,
    update,
)

from serve_app.archive.identity import Identity, digest
from serve_app.archive.kind import NAME, Stage
from serve_app.archive.media import MediaState, archive_media
from serve_app.database import Database
from serve_app.jobs.job import State
from serve_app.jobs.table import queue

BLOCKED = "blocked"
_REFUSED = "refused "
_NONE = "-"


@dataclass(frozen=True)
class Mark:
    """What the old tables were given: a state, what it is about, and the newest URL.

    `about` is the job that failed, or where the media is stored.
    """

    state: str
    about: str
    url: str

    def __str__(self) -> str:
        """Return the text that is stored in `archive_media.mirrored`."""
        return f"{self.state} {self.about} {self.url}"


@dataclass(frozen=True)
class Shown:
    """Media with an identity: how it is now, and what the old tables were given.

    `before` is None if they were given nothing.
    """

    key: str
    identity: Identity
    job_id: str | None
    created_at: datetime
    failures: int
    error: str | None
    object_key: str | None
    store: str | None
    now: Mark
    before: Mark | None

    @property
    def state(self) -> MediaState:
        """The state; what was taken down has failed."""
        if self.now.state == BLOCKED:
            return MediaState.FAILED
        return MediaState(self.now.state)

    @property
    def is_blocked(self) -> bool:
        """Whether it was taken down."""
        return self.now.state == BLOCKED


def taken(url: str) -> Mark:
    """Return the mark of a row that is pending, once it has become a job."""
    return Mark(MediaState.PENDING, _NONE, url)


class Changes:
    """The archive's media, as the old tables know it. Methods block."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    def changed(
        self, after: str, limit: int, within_seconds: float | None = None
    ) -> list[Shown]:
        """Return media that is not as the tables were told, by key's digest.

        `after` is the digest where the previous page ended, or "". With
        `within_seconds`, only media that changed lately, or has an unfinished job:
        both are found by an index.
        """
        stale = or_(
            archive_media.c.mirrored.is_(None),
            archive_media.c.mirrored.not_in([_MARK, literal(_REFUSED).concat(_MARK)]),
        )
        query = _SHOWN.where(archive_media.c.id > after, stale)
        if within_seconds is not None:
            since = self._clock() - timedelta(seconds=within_seconds)
            unfinished = select(queue.c.id).where(
                queue.c.kind == NAME,
                queue.c.state.in_([State.QUEUED.value, State.RUNNING.value]),
            )
            query = query.where(
                or_(
                    archive_media.c.updated_at > since,
                    archive_media.c.job_id.in_(unfinished),
                )
            )
        return self._read(query.order_by(archive_media.c.id).limit(limit))

    def known(self, keys: Collection[str]) -> list[Shown]:
        """Return the media with these keys."""
        ids = [digest(key) for key in keys]
        return self._read(_SHOWN.where(archive_media.c.id.in_(ids)))

    def ready(self, after: str, limit: int) -> list[Shown]:
        """Return media that is stored and that the tables were told of."""
        query = _SHOWN.where(
            archive_media.c.id > after,
            archive_media.c.object_key.is_not(None),
            archive_media.c.mirrored == _MARK,
        )
        return self._read(query.order_by(archive_media.c.id).limit(limit))

    def written(self, key: str, mark: Mark) -> None:
        """Note what the tables show now."""
        self._set(key, {"mirrored": str(mark)})

    def refused(self, key: str, mark: Mark) -> None:
        """Note that the tables don't accept this: it is not tried again."""
        self._set(key, {"mirrored": f"{_REFUSED}{mark}"})

    def _set(self, key: str, changes: dict[str, Any]) -> None:
        own = archive_media.c.id == digest(key)
        with self._database.writing() as connection:
            connection.execute(update(archive_media).where(own).values(**changes))

    def _read(self, query: Select[Any]) -> list[Shown]:
        with self._database.reading() as connection:
            return [_shown(row) for row in connection.execute(query)]


def _state() -> ColumnElement[str]:
    """Return the state of media: `MediaStore.state` as SQL, and what is blocked."""
    media, is_late = archive_media.c, queue.c.stage == Stage.UPLOAD.value
    is_running = queue.c.state == State.RUNNING.value
    return case(
        (media.blocked_at.is_not(None), BLOCKED),
        (media.object_key.is_not(None), MediaState.READY.value),
        (queue.c.state == State.QUEUED.value, MediaState.PENDING.value),
        (is_running & is_late, MediaState.UPLOADING.value),
        (is_running, MediaState.DOWNLOADING.value),
        else_=MediaState.FAILED.value,
    )


def _about() -> ColumnElement[str]:
    """Return what a mark is about: two failures, or two places, are two marks."""
    media, state = archive_media.c, _state()
    place = media.object_key + "@" + func.coalesce(media.store, "")
    return case(
        (state == MediaState.READY.value, place),
        (state == MediaState.FAILED.value, func.coalesce(media.job_id, _NONE)),
        else_=_NONE,
    )


_MARK = _state().concat(" ").concat(_about()).concat(" ").concat(archive_media.c.url)
_SHOWN = (
    select(archive_media, _MARK.label("mark"))
    .select_from(archive_media)
    .outerjoin(queue, queue.c.id == archive_media.c.job_id)
    .where(archive_media.c.mal_id.is_not(None))
)


def _shown(row: Row[Any]) -> Shown:
    identity = Identity(row.mal_id, row.episode, row.provider, row.resolution)
    return Shown(
        key=row.key,
        identity=identity,
        job_id=row.job_id,
        created_at=row.created_at,
        failures=row.failures,
        error=row.error,
        object_key=row.object_key,
        store=row.store,
        now=_parsed(row.mark),
        before=None if row.mirrored is None else _parsed(row.mirrored),
    )


def _parsed(text: str) -> Mark:
    return Mark(*text.removeprefix(_REFUSED).split(" ", 2))
