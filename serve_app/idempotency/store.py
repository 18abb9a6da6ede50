"""The table of answers to requests that a client may send twice."""

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
from serve_app.idempotency.response import Answer

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


class Answers:
    """The answers in a database; methods block and raise Unavailable."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    def find(self, request_id: str) -> Answer | None:
        """Return what a request was answered, if it was and not too long ago."""
        with self._database.reading() as connection:
            return find(connection, request_id, self._clock())

    def keep(self, answer: Answer) -> Answer | None:
        """Keep an answer, unless the request has one, which is returned then."""
        with self._database.writing() as connection:
            take_turns(connection)
            return AnswerReceipt(answer).keep(connection, self._clock())

    def sweep(self) -> None:
        """Forget the answers whose time is up."""
        with self._database.writing() as connection:
            query = delete(answers).where(answers.c.expires_at <= self._clock())
            connection.execute(query)


@dataclass(frozen=True)
class AnswerReceipt:
    """Shows by its answer that a request was taken; see `serve_app.jobs.store`."""

    answer: Answer

    def keep(self, connection: Connection, now: datetime) -> Answer | None:
        """Keep the answer, unless the request has one: then return that."""
        before = find(connection, self.answer.id, now)
        if before is None:
            keep(connection, self.answer)
        return before


def find(connection: Connection, request_id: str, now: datetime) -> Answer | None:
    """Return what a request was answered, unless that has expired."""
    query = select(answers).where(answers.c.id == request_id)
    row = connection.execute(query.where(answers.c.expires_at > now)).first()
    return None if row is None else Answer(**row._asdict())


def keep(connection: Connection, answer: Answer) -> None:
    """Store an answer in the place of one that has expired."""
    connection.execute(delete(answers).where(answers.c.id == answer.id))
    connection.execute(insert(answers).values(**asdict(answer)))
