"""The table of deliveries, and how a delivery becomes a row and a row a delivery."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Column, Index, Integer, String, Table, Text

from serve_app.database.columns import UtcDateTime, metadata
from serve_app.jobs.job import Event
from serve_app.webhooks.delivery import Attempt, Delivery, DeliveryState

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("job_id", String(64), nullable=False),
    Column("url", Text, nullable=False),
    Column("host", String(255), nullable=False),
    Column("event", String(32), nullable=False),
    Column("body", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("due_at", UtcDateTime, nullable=False),
    Column("gives_up_at", UtcDateTime, nullable=False),
    Column("log", JSON, nullable=False),
    Index("deliveries_by_turn", "state", "due_at"),
    Index("deliveries_by_job", "job_id"),
)


def to_row(delivery: Delivery) -> dict[str, Any]:
    """Return the columns of `delivery`."""
    return {
        **asdict(delivery),
        "event": delivery.event.value,
        "state": delivery.state.value,
        "log": to_json(delivery.log),
    }


def to_delivery(row: Mapping[str, Any]) -> Delivery:
    """Return the delivery that `row` holds."""
    log = tuple(
        Attempt(**{**entry, "at": datetime.fromisoformat(entry["at"])})
        for entry in row["log"]
    )
    state = DeliveryState(row["state"])
    return Delivery(**{**row, "event": Event(row["event"]), "state": state, "log": log})


def to_json(log: tuple[Attempt, ...]) -> list[dict[str, Any]]:
    """Return `log` as the column of that name holds it."""
    return [{**asdict(entry), "at": entry.at.isoformat()} for entry in log]
