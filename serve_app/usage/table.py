"""The table of what tenants have used, by day."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Date,
    Float,
    Index,
    String,
    Table,
    select,
)
from sqlalchemy.sql.selectable import ScalarSelect

from serve_app.database.columns import metadata
from serve_app.database.upsert import insert_into
from serve_app.usage.used import DayUsage, JobUsage

usage = Table(
    "usage",
    metadata,
    Column("tenant", String(64), primary_key=True),
    Column("day", Date, primary_key=True),
    Column("jobs", BigInteger, nullable=False),
    Column("audio_seconds", Float, nullable=False),
    Column("device_seconds", Float, nullable=False),
    Column("bytes_in", BigInteger, nullable=False),
    Column("bytes_out", BigInteger, nullable=False),
    Index("usage_by_day", "day", "audio_seconds"),
)


def add(connection: Connection, tenant: str, day: date, used: JobUsage) -> None:
    """Add a job to what a tenant has used on `day`."""
    values = {"jobs": 1, **asdict(used)}
    insert = insert_into(connection, usage).values(tenant=tenant, day=day, **values)
    sums = {name: usage.c[name] + insert.excluded[name] for name in values}
    key = [usage.c.tenant, usage.c.day]
    connection.execute(insert.on_conflict_do_update(index_elements=key, set_=sums))


def day_of(time: datetime) -> date:
    """Return the day, in UTC."""
    return time.astimezone(UTC).date()


def audio_seconds(tenant: str, day: date) -> ScalarSelect[float]:
    """Select the audio seconds of a tenant's finished jobs that were sent on `day`."""
    query = select(usage.c.audio_seconds)
    return query.where(usage.c.tenant == tenant, usage.c.day == day).scalar_subquery()


def listed(
    connection: Connection, first: date, last: date, tenant: str | None, limit: int
) -> Sequence[DayUsage]:
    """Return at most `limit` days of one or all tenants, by day and tenant.

    `first` and `last` are included.
    """
    query = select(usage).where(usage.c.day >= first, usage.c.day <= last)
    if tenant is not None:
        query = query.where(usage.c.tenant == tenant)
    query = query.order_by(usage.c.day, usage.c.tenant).limit(limit)
    return [DayUsage(**row._asdict()) for row in connection.execute(query)]
