"""The outbox: messages to send, in the same database as their jobs."""

from collections.abc import Callable, Collection, Iterable
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from sqlalchemy import (
    Connection,
    Select,
    and_,
    bindparam,
    delete,
    exists,
    func,
    insert,
    not_,
    or_,
    select,
    tuple_,
    update,
)

from serve_app.database import Database
from serve_app.errors import DeliveryNotFound, LeaseLost
from serve_app.webhooks.delivery import Attempt, Delivery, DeliveryState
from serve_app.webhooks.message import WEBHOOK, Message
from serve_app.webhooks.schedule import RETRY_FOR_SECONDS
from serve_app.webhooks.table import messages, to_delivery, to_json, to_row

_RETRY_FOR = timedelta(seconds=RETRY_FOR_SECONDS)
_LONGEST_LOG = 20
_is_pending = messages.c.state == DeliveryState.PENDING.value
_older = messages.alias("older")
_has_older = (
    exists()
    .where(
        _older.c.channel == messages.c.channel,
        _older.c.order_key == messages.c.order_key,
        _older.c.state == DeliveryState.PENDING.value,
        tuple_(_older.c.created_at, _older.c.id)
        < tuple_(messages.c.created_at, messages.c.id),
    )
    .correlate(messages)
)
# Whether a message waits for nothing but its own time.
is_next = and_(_is_pending, or_(messages.c.order_key.is_(None), not_(_has_older)))
# Built once: building a statement takes longer than running it.
_NEXT = (
    select(messages.c.id)
    .where(
        messages.c.channel == bindparam("of_channel"),
        is_next,
        messages.c.due_at <= bindparam("now"),
        messages.c.host.not_in(bindparam("busy_hosts", expanding=True)),
    )
    .order_by(messages.c.due_at, messages.c.id)
    .limit(1)
    .with_for_update(skip_locked=True)
    .scalar_subquery()
)
_CLAIM = (
    update(messages)
    .where(messages.c.id == _NEXT)
    .values(attempt=messages.c.attempt + 1, due_at=bindparam("until"))
    .returning(messages)
)


class Outbox:
    """The messages to send, each retried until it is delivered, fails or is disabled.

    Methods block, are safe in any thread and process, and raise Unavailable if the
    database is unreachable. Methods that end an attempt raise LeaseLost if the delivery
    has been claimed again by then, or is not pending any more.
    """

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    def post(self, connection: Connection, posted: Iterable[Message]) -> None:
        """Add messages, in the transaction of the change that they report."""
        now = self._clock()
        for number, message in enumerate(posted):
            delivery = Delivery(
                id=f"msg_{uuid4().hex}",
                channel=message.channel,
                job_id=message.job_id,
                url=message.target,
                host=urlsplit(message.target).hostname or "",
                event=message.event,
                body=message.body,
                state=DeliveryState.PENDING,
                attempt=0,
                failures=0,
                # Keeps the order of messages that are posted together.
                created_at=now + timedelta(microseconds=number),
                due_at=now,
                gives_up_at=now + _RETRY_FOR,
                order_key=message.order_key,
                traceparent=message.traceparent,
            )
            connection.execute(insert(messages).values(**to_row(delivery)))

    def claim(
        self,
        lease_seconds: float,
        busy_hosts: Collection[str] = (),
        channel: str = WEBHOOK,
    ) -> Delivery | None:
        """Claim and return the delivery of a channel that was due first, or None.

        Deliveries to `busy_hosts` are skipped, and so are those with the order key of
        an older pending one. If the attempt does not end within the lease, the delivery
        is due again.
        """
        now = self._clock()
        given = {
            "of_channel": channel,
            "now": now,
            "until": now + timedelta(seconds=lease_seconds),
            "busy_hosts": list(busy_hosts),
        }
        with self._database.statement() as connection:
            row = connection.execute(_CLAIM, given).first()
        return None if row is None else to_delivery(row._asdict())

    def delivered(self, claimed: Delivery, attempt: Attempt) -> None:
        """End an attempt that succeeded."""
        with self._database.writing() as connection:
            held = _held(connection, claimed)
            _end(connection, held, attempt, DeliveryState.DELIVERED)

    def failed(self, claimed: Delivery, attempt: Attempt, retry_at: datetime) -> bool:
        """End an attempt that failed; the next one is due at `retry_at`.

        Returns False if that is after `gives_up_at`: then the delivery has failed.
        """
        with self._database.writing() as connection:
            held = _held(connection, claimed)
            has_next = retry_at <= held.gives_up_at
            state = DeliveryState.PENDING if has_next else DeliveryState.FAILED
            changes = {"failures": held.failures + 1, "due_at": retry_at}
            _end(connection, held, attempt, state, **changes)
        return has_next

    def disabled(self, claimed: Delivery, attempt: Attempt) -> None:
        """Disable a delivery, and all pending ones to its URL: the receiver is gone."""
        is_same = messages.c.channel == claimed.channel
        same = is_same & (messages.c.url == claimed.url) & _is_pending
        disabled = DeliveryState.DISABLED
        with self._database.writing() as connection:
            # All transactions lock in the same order, which prevents deadlocks.
            query = select(messages.c.id).where(same).order_by(messages.c.id)
            connection.execute(query.with_for_update())
            _end(connection, _held(connection, claimed), attempt, disabled)
            others = update(messages).where(same)
            connection.execute(others.values(state=disabled.value))

    def of_job(self, job_id: str, channel: str = WEBHOOK) -> list[Delivery]:
        """Return the deliveries of a job in a channel, oldest first."""
        query = select(messages).where(
            messages.c.job_id == job_id, messages.c.channel == channel
        )
        with self._database.reading() as connection:
            rows = connection.execute(query.order_by(messages.c.created_at))
            return [to_delivery(row._asdict()) for row in rows]

    def failing(self, channel: str) -> int:
        """Return how many deliveries of a channel wait that have failed before."""
        query = select(func.count()).where(
            messages.c.channel == channel, _is_pending, messages.c.failures > 0
        )
        with self._database.reading() as connection:
            return int(connection.execute(query).scalar_one())

    def given_up(self, channel: str, limit: int | None = None) -> list[Delivery]:
        """Return the deliveries of a channel that have failed, newest first."""
        query = select(messages).where(
            messages.c.channel == channel,
            messages.c.state == DeliveryState.FAILED.value,
        )
        with self._database.reading() as connection:
            newest = query.order_by(messages.c.created_at.desc()).limit(limit)
            return [to_delivery(row._asdict()) for row in connection.execute(newest)]

    def replay(self, job_id: str, delivery_id: str, channel: str = WEBHOOK) -> Delivery:
        """Start a delivery again with the same id; raise DeliveryNotFound if unknown.

        It is sent at once, and retried for as long as a new one.
        """
        now = self._clock()
        query = (
            update(messages)
            .where(
                messages.c.id == delivery_id,
                messages.c.job_id == job_id,
                messages.c.channel == channel,
            )
            .values(
                state=DeliveryState.PENDING.value,
                failures=0,
                due_at=now,
                gives_up_at=now + _RETRY_FOR,
            )
        )
        with self._database.writing() as connection:
            row = connection.execute(query.returning(messages)).first()
        if row is None:
            raise DeliveryNotFound(
                "The job has no such delivery. GET /job/{job_id}/deliveries lists them."
            )
        return to_delivery(row._asdict())

    def sweep(self, known_jobs: Select[tuple[str]]) -> None:
        """Delete the deliveries that have ended and have none of `known_jobs`."""
        is_known = messages.c.job_id.in_(known_jobs)
        with self._database.writing() as connection:
            connection.execute(delete(messages).where(~_is_pending, ~is_known))


def _held(connection: Connection, claimed: Delivery) -> Delivery:
    """Return and lock the current delivery; raise LeaseLost if it was claimed again."""
    query = select(messages).where(messages.c.id == claimed.id, _is_pending)
    row = connection.execute(query.with_for_update()).first()
    if row is None or row.attempt != claimed.attempt:
        raise LeaseLost(
            f"Attempt {claimed.attempt} at delivery {claimed.id} has lost its lease."
        )
    return to_delivery(row._asdict())


def _end(
    connection: Connection,
    held: Delivery,
    attempt: Attempt,
    state: DeliveryState,
    **changes: Any,
) -> None:
    """Record an attempt and the changes that follow from it."""
    log = to_json((*held.log, attempt)[-_LONGEST_LOG:])
    query = update(messages).where(messages.c.id == held.id)
    connection.execute(query.values(log=log, state=state.value, **changes))
