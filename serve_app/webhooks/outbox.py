"""The messages that are to be sent, in the database of the jobs."""

from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from sqlalchemy import (
    Connection,
    bindparam,
    delete,
    insert,
    select,
    update,
)

from serve_app.database import Database
from serve_app.errors import DeliveryNotFound, LeaseLost
from serve_app.jobs.job import Event, Job, State
from serve_app.jobs.schema import jobs
from serve_app.schema import WebhookMessage
from serve_app.views import job_view
from serve_app.webhooks.delivery import Attempt, Delivery, DeliveryState
from serve_app.webhooks.schedule import PATIENCE_SECONDS
from serve_app.webhooks.table import deliveries, to_delivery, to_json, to_row

_PATIENCE = timedelta(seconds=PATIENCE_SECONDS)
_LONGEST_LOG = 20
_EVENTS = {
    State.SUCCEEDED: Event.COMPLETED,
    State.FAILED: Event.FAILED,
    State.CANCELLED: Event.CANCELLED,
}

_is_pending = deliveries.c.state == DeliveryState.PENDING.value
# Made once: making a statement takes longer than running it.
_NEXT = (
    select(deliveries.c.id)
    .where(
        _is_pending,
        deliveries.c.due_at <= bindparam("now"),
        deliveries.c.host.not_in(bindparam("busy_hosts", expanding=True)),
    )
    .order_by(deliveries.c.due_at, deliveries.c.id)
    .limit(1)
    .with_for_update(skip_locked=True)
    .scalar_subquery()
)
_CLAIM = (
    update(deliveries)
    .where(deliveries.c.id == _NEXT)
    .values(attempt=deliveries.c.attempt + 1, due_at=bindparam("until"))
    .returning(deliveries)
)


class Outbox:
    """The messages to clients, each of which is sent until its receiver has it.

    Methods block, are safe in any thread and process, and raise Unavailable when the
    database doesn't answer. Those that end an attempt raise LeaseLost when the delivery
    has been handed out again by then, or is not to be sent any more.
    """

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    def record(self, connection: Connection, job: Job) -> None:
        """Write down what the client of a `job`, which has ended, wants to be told.

        This is for JobStore's `on_end`: the message is there exactly if the end is.
        """
        event = _EVENTS[job.state]
        if job.webhook is None or event not in job.webhook.events:
            return
        now = self._clock()
        message = WebhookMessage(
            type=event, timestamp=job.updated_at, data=job_view(job, now)
        )
        delivery = Delivery(
            id=f"msg_{uuid4().hex}",
            job_id=job.id,
            url=job.webhook.url,
            host=urlsplit(job.webhook.url).hostname or "",
            event=event,
            body=message.model_dump_json(exclude_none=True),
            state=DeliveryState.PENDING,
            attempt=0,
            failures=0,
            created_at=now,
            due_at=now,
            gives_up_at=now + _PATIENCE,
        )
        connection.execute(insert(deliveries).values(**to_row(delivery)))

    def claim(
        self, lease_seconds: float, busy_hosts: Collection[str] = ()
    ) -> Delivery | None:
        """Hand out the delivery that is due for the longest time, if there is one.

        Those to `busy_hosts` are left to wait. Unless the attempt is ended within the
        lease, the delivery is due again then.
        """
        now = self._clock()
        given = {
            "now": now,
            "until": now + timedelta(seconds=lease_seconds),
            "busy_hosts": list(busy_hosts),
        }
        with self._database.statement() as connection:
            row = connection.execute(_CLAIM, given).first()
        return None if row is None else to_delivery(row._asdict())

    def delivered(self, claimed: Delivery, attempt: Attempt) -> None:
        """End an attempt that has succeeded."""
        with self._database.writing() as connection:
            held = _held(connection, claimed)
            _end(connection, held, attempt, DeliveryState.DELIVERED)

    def failed(self, claimed: Delivery, attempt: Attempt, retry_at: datetime) -> bool:
        """End an attempt that has failed; the next one is due at `retry_at`.

        Returns whether there is a next one: False when it would be too late.
        """
        with self._database.writing() as connection:
            held = _held(connection, claimed)
            has_next = retry_at <= held.gives_up_at
            state = DeliveryState.PENDING if has_next else DeliveryState.FAILED
            changes = {"failures": held.failures + 1, "due_at": retry_at}
            _end(connection, held, attempt, state, **changes)
        return has_next

    def disabled(self, claimed: Delivery, attempt: Attempt) -> None:
        """End an attempt whose receiver is gone; nothing that waits for it is sent."""
        same = (deliveries.c.url == claimed.url) & _is_pending
        disabled = DeliveryState.DISABLED
        with self._database.writing() as connection:
            # One order for all, so that two transactions never wait for each other.
            query = select(deliveries.c.id).where(same).order_by(deliveries.c.id)
            connection.execute(query.with_for_update())
            _end(connection, _held(connection, claimed), attempt, disabled)
            others = update(deliveries).where(same)
            connection.execute(others.values(state=disabled.value))

    def of_job(self, job_id: str) -> list[Delivery]:
        """Return the deliveries that tell of a job."""
        query = select(deliveries).where(deliveries.c.job_id == job_id)
        with self._database.reading() as connection:
            rows = connection.execute(query.order_by(deliveries.c.created_at))
            return [to_delivery(row._asdict()) for row in rows]

    def replay(self, job_id: str, delivery_id: str) -> Delivery:
        """Begin a delivery anew, with the same id; DeliveryNotFound if there is none.

        It is sent at once and, if need be, tried again for as long as a new one.
        """
        now = self._clock()
        query = (
            update(deliveries)
            .where(deliveries.c.id == delivery_id, deliveries.c.job_id == job_id)
            .values(
                state=DeliveryState.PENDING.value,
                failures=0,
                due_at=now,
                gives_up_at=now + _PATIENCE,
            )
        )
        with self._database.writing() as connection:
            row = connection.execute(query.returning(deliveries)).first()
        if row is None:
            raise DeliveryNotFound(
                "The job has no such delivery: GET /job/{id}/deliveries lists them."
            )
        return to_delivery(row._asdict())

    def sweep(self) -> None:
        """Forget the deliveries that have ended, as have their jobs' days."""
        is_known = deliveries.c.job_id.in_(select(jobs.c.id))
        with self._database.writing() as connection:
            connection.execute(delete(deliveries).where(~_is_pending, ~is_known))


def _held(connection: Connection, claimed: Delivery) -> Delivery:
    """Return, locked, the delivery as it is now; LeaseLost if it is another's."""
    query = select(deliveries).where(deliveries.c.id == claimed.id, _is_pending)
    row = connection.execute(query.with_for_update()).first()
    if row is None or row.attempt != claimed.attempt:
        raise LeaseLost(f"Attempt {claimed.attempt} at {claimed.id} came too late.")
    return to_delivery(row._asdict())


def _end(
    connection: Connection,
    held: Delivery,
    attempt: Attempt,
    state: DeliveryState,
    **changes: Any,
) -> None:
    """Write down an attempt and what follows from it."""
    log = to_json((*held.log, attempt)[-_LONGEST_LOG:])
    query = update(deliveries).where(deliveries.c.id == held.id)
    connection.execute(query.values(log=log, state=state.value, **changes))
