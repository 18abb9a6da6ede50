"""The table of messages, and the conversion between deliveries and rows."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Column, Index, Integer, String, Table, Text

from serve_app.database.columns import UtcDateTime, metadata
from serve_app.webhooks.delivery import Attempt, Delivery, DeliveryState

# The view "deliveries" shows the messages of webhooks to the previous version.
messages = Table(
    "messages",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("channel", String(32), nullable=False, server_default="webhook"),
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
    # Messages with the same key are sent oldest first.
    Column("order_key", String(255)),
    Column("traceparent", String(55)),
    Index("messages_by_turn", "channel", "state", "due_at"),
    Index("deliveries_by_job", "job_id"),
)
Index(
    "messages_by_order",
    messages.c.channel,
    messages.c.order_key,
    messages.c.state,
    postgresql_where=messages.c.order_key.is_not(None),
    sqlite_where=messages.c.order_key.is_not(None),
)


def to_row(delivery: Delivery) -> dict[str, Any]:
    """Return the columns of `delivery`."""
    return {
        **asdict(delivery),
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
    return Delivery(**{**row, "state": state, "log": log})


def to_json(log: tuple[Attempt, ...]) -> list[dict[str, Any]]:
    """Return `log` as the value of its column."""
    return [{**asdict(entry), "at": entry.at.isoformat()} for entry in log]
