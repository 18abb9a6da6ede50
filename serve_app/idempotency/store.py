"""The table of responses to requests with an idempotency key."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import (
    JSON,
    Column,
    Connection,
    Index,
    Integer,
    String,
    Table,
    delete,
    insert,
    select,
)

from serve_app.database import Database
from serve_app.database.columns import UtcDateTime, metadata
from serve_app.database.turns import take_turns
from serve_app.idempotency.response import StoredResponse

answers = Table(
    "answers",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column("status", Integer, nullable=False),
    Column("headers", JSON, nullable=False),
    Column("body", JSON, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Index("answers_by_expiry", "expires_at"),
)


class StoredResponses:
    """The stored responses in a database; methods block and may raise Unavailable."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    def find(self, request_id: str) -> StoredResponse | None:
        """Return the response to a request, or None if it has none or it expired."""
        with self._database.reading() as connection:
            return find(connection, request_id, self._clock())

    def keep(self, answer: StoredResponse) -> StoredResponse | None:
        """Store a response, or return the one that the request has already."""
        with self._database.writing() as connection:
            take_turns(connection)
            return ResponseReceipt(answer).keep(connection, self._clock())

    def sweep(self) -> None:
        """Delete the expired responses."""
        with self._database.writing() as connection:
            query = delete(answers).where(answers.c.expires_at <= self._clock())
            connection.execute(query)


@dataclass(frozen=True)
class ResponseReceipt:
    """The response as the `Receipt` of a job; see `serve_app.jobs.store`."""

    answer: StoredResponse

    def keep(self, connection: Connection, now: datetime) -> StoredResponse | None:
        """Store the response, or return the one that the request has already."""
        before = find(connection, self.answer.id, now)
        if before is None:
            keep(connection, self.answer)
        return before


def find(
    connection: Connection, request_id: str, now: datetime
) -> StoredResponse | None:
    """Return the response to a request, or None if it has none or it expired."""
    query = select(answers).where(answers.c.id == request_id)
    row = connection.execute(query.where(answers.c.expires_at > now)).first()
    return None if row is None else StoredResponse(**row._asdict())


def keep(connection: Connection, answer: StoredResponse) -> None:
    """Store a response; it replaces one that has expired."""
    connection.execute(delete(answers).where(answers.c.id == answer.id))
    connection.execute(insert(answers).values(**asdict(answer)))
