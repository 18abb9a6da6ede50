"""All media that was ever asked for: where it comes from, and where it is."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Float,
    Index,
    Integer,
    Row,
    String,
    Table,
    Text,
    and_,
    exists,
    func,
    not_,
    or_,
    select,
    update,
)

from serve_app.archive import copy_rows
from serve_app.archive.errors import MediaBlocked, MediaNotFound
from serve_app.archive.identity import Identity, digest
from serve_app.archive.kind import NAME, ArchiveJob, Fetch, Stage, Stored
from serve_app.database import Database
from serve_app.database.columns import UtcDateTime, metadata
from serve_app.database.upsert import insert_into
from serve_app.errors import AppError
from serve_app.jobs.job import State
from serve_app.jobs.table import lanes, queue

# A job that failed is followed by another one after these times, and then by none.
RETRY_SECONDS = (600.0, 3600.0, 6 * 3600.0, 24 * 3600.0)
# Dispatchers poll far more often.
_STUCK_SECONDS = 60.0
# Nothing changes for these by waiting.
_HOPELESS = frozenset({"protected_media", "live_media", "not_allowed", "refused_url"})

archive_media = Table(
    "archive_media",
    metadata,
    # SHA-256 of the key, which may have any length.
    Column("id", String(64), primary_key=True),
    Column("key", Text, nullable=False),
    Column("mal_id", BigInteger),
    Column("episode", BigInteger),
    Column("provider", Text),
    Column("resolution", Text),
    # The newest one, which the next attempt fetches.
    Column("url", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    # The last job, and how it failed.
    Column("job_id", String(64)),
    Column("failures", Integer, nullable=False),
    Column("error", Text),
    Column("error_code", String(64)),
    Column("next_try_at", UtcDateTime),
    # What is stored.
    Column("stored_at", UtcDateTime),
    Column("object_key", Text),
    Column("store", Text),
    Column("size_bytes", BigInteger),
    Column("sha256", String(64)),
    Column("media_type", Text),
    Column("duration_seconds", Float),
    # Media that was taken down is not fetched again.
    Column("blocked_at", UtcDateTime),
    # The state that the old API's tables were last given.
    Column("mirrored", Text),
    Index("archive_media_by_next_try", "next_try_at"),
    Index("archive_media_by_object", "object_key"),
    Index("archive_media_by_age", "stored_at"),
    Index("archive_media_by_change", "updated_at"),
)


class MediaState(StrEnum):
    """The state of media, in the words of the old API."""

    PENDING = "pending"
    DOWNLOADING = "downloading"
    UPLOADING = "uploading"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True)
class Media:
    """A row of the table; times are UTC."""

    key: str
    url: str
    created_at: datetime
    updated_at: datetime
    identity: Identity | None = None
    job_id: str | None = None
    failures: int = 0
    error: str | None = None
    error_code: str | None = None
    next_try_at: datetime | None = None
    stored_at: datetime | None = None
    object_key: str | None = None
    store: str | None = None
    size_bytes: int | None = None
    sha256: str | None = None
    media_type: str | None = None
    duration_seconds: float | None = None
    blocked_at: datetime | None = None
    mirrored: str | None = None

    @property
    def is_ready(self) -> bool:
        """Whether it is stored."""
        return self.object_key is not None


@dataclass(frozen=True)
class Known:
    """Media for which no new job is needed: the state that it is in."""

    state: MediaState
    job_id: str | None


class MediaStore:
    """The media in a database; methods block, and raise Unavailable.

    `stores` are the names of all stores, each of which gets a copy.
    """

    def __init__(
        self,
        database: Database,
        clock: Callable[[], datetime],
        stores: Sequence[str] = (),
    ) -> None:
        self._database = database
        self._clock = clock
        self._stores = tuple(stores)

    def find(self, key: str) -> Media:
        """Return the media with a key; raise MediaNotFound if there is none."""
        with self._database.reading() as connection:
            found = _find(connection, digest(key))
        if found is None:
            raise MediaNotFound(f"There is no media {key!r}.")
        return found

    def find_object(self, object_key: str) -> Media | None:
        """Return the media that is stored as an object, or None."""
        query = select(archive_media).where(archive_media.c.object_key == object_key)
        with self._database.reading() as connection:
            row = connection.execute(query).first()
        return None if row is None else _media(row)

    def state(self, media: Media) -> MediaState:
        """Return the state of media, which is that of its job unless it is stored."""
        with self._database.reading() as connection:
            return _state(connection, media)

    def waits_until(self, media: Media) -> datetime | None:
        """Return until when the source of media is left alone, or None if it is not."""
        query = (
            select(lanes.c.paused_until)
            .join(
                queue,
                and_(queue.c.kind == lanes.c.kind, queue.c.lane == lanes.c.lane),
            )
            .where(queue.c.id == media.job_id, lanes.c.paused_until > self._clock())
        )
        with self._database.reading() as connection:
            return connection.execute(query).scalar()

    def is_stuck(self) -> bool:
        """Whether media could be fetched for a while now, and none is."""
        of_archive = queue.c.kind == NAME
        since = self._clock() - timedelta(seconds=_STUCK_SECONDS)
        paused = exists().where(
            lanes.c.kind == queue.c.kind,
            lanes.c.lane == queue.c.lane,
            # A while ago: its jobs have not been free for longer.
            lanes.c.paused_until > since,
        )
        waits = exists().where(
            of_archive,
            queue.c.state == State.QUEUED.value,
            queue.c.updated_at < since,
            or_(queue.c.available_at.is_(None), queue.c.available_at < since),
            not_(paused),
        )
        runs = exists().where(
            of_archive,
            queue.c.state == State.RUNNING.value,
            queue.c.lease_expires_at > self._clock(),
        )
        with self._database.reading() as connection:
            return bool(connection.execute(select(and_(waits, not_(runs)))).scalar())

    def counts(self) -> dict[MediaState, int]:
        """Return how many media are in each state; what was taken down is in none."""
        query = (
            select(
                archive_media.c.object_key.is_not(None),
                queue.c.state,
                queue.c.stage,
                func.count(),
            )
            .select_from(archive_media)
            .outerjoin(queue, queue.c.id == archive_media.c.job_id)
            .where(archive_media.c.blocked_at.is_(None))
            .group_by(
                archive_media.c.object_key.is_not(None), queue.c.state, queue.c.stage
            )
        )
        found = dict.fromkeys(MediaState, 0)
        with self._database.reading() as connection:
            for is_ready, state, stage, number in connection.execute(query):
                name = MediaState.READY if is_ready else _of_job(state, stage)
                found[name] += number
        return found

    def urls_taken_down(self) -> set[str]:
        """Return the URLs of media that was taken down."""
        query = select(archive_media.c.url).where(
            archive_media.c.blocked_at.is_not(None)
        )
        with self._database.reading() as connection:
            return set(connection.execute(query).scalars())

    def unfinished(self) -> set[str]:
        """Return the keys of media whose job has not ended."""
        is_live = queue.c.state.in_([State.QUEUED.value, State.RUNNING.value])
        query = select(archive_media.c.key).join(
            queue, queue.c.id == archive_media.c.job_id
        )
        with self._database.reading() as connection:
            return set(connection.execute(query.where(is_live)).scalars())

    def due(self, limit: int) -> list[Media]:
        """Return media whose job has failed a while ago, to be tried again."""
        query = select(archive_media).where(
            archive_media.c.next_try_at <= self._clock()
        )
        with self._database.reading() as connection:
            rows = connection.execute(
                query.order_by(archive_media.c.next_try_at).limit(limit)
            )
            return [_media(row) for row in rows]

    def failed(self, host: str, before: datetime, limit: int) -> list[Media]:
        """Return media that failed, last asked for before a time; "" is any host."""
        query = (
            select(archive_media)
            .outerjoin(queue, queue.c.id == archive_media.c.job_id)
            .where(
                archive_media.c.object_key.is_(None),
                archive_media.c.blocked_at.is_(None),
                archive_media.c.updated_at <= before,
                queue.c.state.is_distinct_from(State.QUEUED.value),
                queue.c.state.is_distinct_from(State.RUNNING.value),
            )
            .order_by(archive_media.c.updated_at)
        )
        found: list[Media] = []
        with self._database.reading() as connection:
            for row in connection.execute(query):
                media = _media(row)
                if host in ("", urlsplit(media.url).hostname):
                    found.append(media)
                if len(found) == limit:
                    break
        return found

    def give_up(self, key: str, error: AppError) -> None:
        """Record why media will not be tried again."""
        with self._database.writing() as connection:
            changes = {
                "next_try_at": None,
                "error": error.detail,
                "error_code": error.code,
                "updated_at": self._clock(),
            }
            _change(connection, key, changes)

    def block(self, key: str) -> Media:
        """Forget where media is stored, and refuse its key from now on."""
        now = self._clock()
        with self._database.writing() as connection:
            found = _find(connection, digest(key), is_locked=True)
            if found is None:
                raise MediaNotFound(f"There is no media {key!r}.")
            blocked = {"blocked_at": now, "next_try_at": None}
            self._unstore(connection, found, now, blocked)
        return found

    def block_earlier(self, identity: Identity, url: str, object_key: str) -> Media:
        """Refuse the key of media that is stored, but has no row here.

        `url` is where players got it, and `object_key` where it is, if in a store.
        """
        now = self._clock()
        row = _new_row(identity.key, url, asdict(identity), now)
        with self._database.writing() as connection:
            added = insert_into(connection, archive_media).values(**row)
            connection.execute(added.on_conflict_do_nothing(index_elements=["id"]))
            copy_rows.forget(connection, object_key, self._stores, now)
        return self.block(identity.key)

    def allow(self, key: str) -> None:
        """Let media that was taken down be asked for again."""
        with self._database.writing() as connection:
            changes = {"blocked_at": None, "updated_at": self._clock()}
            if not _change(connection, key, changes):
                raise MediaNotFound(f"There is no media {key!r}.")

    def settle(self, connection: Connection, job: ArchiveJob) -> None:
        """Record the end of a job, in the transaction that ends it."""
        media = _find(connection, digest(job.request.key), is_locked=True)
        if media is None or media.job_id != job.id:
            return
        now = self._clock()
        if job.result is not None:
            self._store(connection, media, job.result, now)
        elif job.state is State.FAILED:
            _change(connection, media.key, _failed(media, job, now))

    def expire(self, seconds: float, limit: int = 100) -> int:
        """Forget media that was stored longer ago, and have it deleted.

        Returns how many.
        """
        now = self._clock()
        old = (
            select(archive_media)
            .where(archive_media.c.stored_at < now - timedelta(seconds=seconds))
            .order_by(archive_media.c.stored_at)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        with self._database.writing() as connection:
            found = [_media(row) for row in connection.execute(old)]
            for media in found:
                self._unstore(connection, media, now, _EXPIRED)
        return len(found)

    def lose(self, object_key: str) -> None:
        """Record that no store has an object any more: its media is fetched again."""
        now = self._clock()
        query = select(archive_media).where(archive_media.c.object_key == object_key)
        with self._database.writing() as connection:
            row = connection.execute(query.with_for_update()).first()
            if row is not None:
                again = {**_LOST, "next_try_at": now}
                self._unstore(connection, _media(row), now, again)

    def _store(
        self, connection: Connection, media: Media, result: Stored, now: datetime
    ) -> None:
        if media.blocked_at is not None:
            # It was taken down while the job ran.
            copy_rows.forget(connection, result.object_key, self._stores, now)
            return
        _change(connection, media.key, _stored(result, now))
        copy_rows.plan(connection, result.object_key, result.store, self._stores, now)

    def _unstore(
        self,
        connection: Connection,
        media: Media,
        now: datetime,
        reason: Mapping[str, Any],
    ) -> None:
        """Forget where media is stored, and have it deleted."""
        changes = {**dict.fromkeys(_STORED), **reason, "updated_at": now}
        _change(connection, media.key, changes)
        if media.object_key is not None:
            copy_rows.forget(connection, media.object_key, self._stores, now)


@dataclass(frozen=True)
class Asked:
    """A receipt: that a job was asked for, with the newest URL of its media.

    It returns Known if no job is needed; then the URL alone is kept.
    Raises MediaBlocked.
    """

    fetch: Fetch
    job_id: str

    def keep(self, connection: Connection, now: datetime) -> Known | None:
        """Store the URL, and the job if there is none that does the same."""
        media = self._kept(connection, now)
        if media.blocked_at is not None:
            raise MediaBlocked(
                f"The media {media.key!r} was taken down. An operator can allow it."
            )
        state = _state(connection, media)
        if state is not MediaState.FAILED:
            return Known(state, media.job_id)
        _change(connection, media.key, {"job_id": self.job_id, "next_try_at": None})
        return None

    def _kept(self, connection: Connection, now: datetime) -> Media:
        fetch, identity = self.fetch, self.fetch.identity
        named = asdict(identity) if identity is not None else {}
        row = _new_row(fetch.key, fetch.url, named, now)
        added = insert_into(connection, archive_media).values(**row)
        # Named anew: a newer client may have asked for an episode by its key alone.
        newest = {"url": fetch.url, "updated_at": now, **named}
        connection.execute(
            added.on_conflict_do_update(index_elements=["id"], set_=newest)
        )
        found = _find(connection, digest(fetch.key), is_locked=True)
        if found is None:
            raise MediaNotFound(f"The media {fetch.key!r} was deleted meanwhile.")
        return found


_IDENTITY = tuple(field.name for field in fields(Identity))
# Why media is not stored any more.
_EXPIRED = {
    "error": "The media was kept for as long as the archive keeps media.",
    "error_code": "media_expired",
}
_LOST = {
    "error": "No store has the media any more. It is fetched again.",
    "error_code": "media_lost",
}
# What is forgotten with it.
_STORED = (
    *("stored_at", "object_key", "store", "size_bytes", "sha256", "media_type"),
    "duration_seconds",
)


def _new_row(
    key: str, url: str, named: Mapping[str, Any], now: datetime
) -> dict[str, Any]:
    """Return the row of media that has no job yet; `named` is its identity, if any."""
    times = {"created_at": now, "updated_at": now}
    return {"id": digest(key), "key": key, "url": url, "failures": 0, **times, **named}


def _find(
    connection: Connection, media_id: str, *, is_locked: bool = False
) -> Media | None:
    query = select(archive_media).where(archive_media.c.id == media_id)
    row = connection.execute(query.with_for_update() if is_locked else query).first()
    return None if row is None else _media(row)


def _media(row: Row[Any]) -> Media:
    values = row._asdict()
    del values["id"]
    named = {name: values.pop(name) for name in _IDENTITY}
    identity = None if named["mal_id"] is None else Identity(**named)
    return Media(identity=identity, **values)


def _state(connection: Connection, media: Media) -> MediaState:
    if media.is_ready:
        return MediaState.READY
    query = select(queue.c.state, queue.c.stage).where(queue.c.id == media.job_id)
    row = connection.execute(query).first()
    return _of_job(*row) if row is not None else MediaState.FAILED


def _of_job(state: str | None, stage: str | None) -> MediaState:
    if state == State.QUEUED:
        return MediaState.PENDING
    if state == State.RUNNING:
        is_late = stage == Stage.UPLOAD
        return MediaState.UPLOADING if is_late else MediaState.DOWNLOADING
    return MediaState.FAILED


def _change(connection: Connection, key: str, changes: Mapping[str, Any]) -> bool:
    statement = update(archive_media).where(archive_media.c.id == digest(key))
    return connection.execute(statement.values(**changes)).rowcount > 0


def _stored(result: Stored, now: datetime) -> dict[str, Any]:
    values = asdict(result)
    kept = {name: values[name] for name in _STORED if name in values}
    nothing = dict.fromkeys(("error", "error_code", "next_try_at"))
    return {**kept, **nothing, "failures": 0, "stored_at": now, "updated_at": now}


def _failed(media: Media, job: ArchiveJob, now: datetime) -> dict[str, Any]:
    is_hopeless = job.error_code in _HOPELESS
    is_last = media.failures >= len(RETRY_SECONDS)
    next_try_at = None
    if not is_hopeless and not is_last:
        next_try_at = now + timedelta(seconds=RETRY_SECONDS[media.failures])
    return {
        "failures": media.failures + 1,
        "error": job.error,
        "error_code": job.error_code,
        "next_try_at": next_try_at,
        "updated_at": now,
    }
