"""Usage as CSV."""

import csv
import io
from collections.abc import Iterable
from dataclasses import asdict, fields
from typing import Any

from serve_app.usage.used import DayUsage

MEDIA_TYPE = "text/csv"

_COLUMNS = [each.name for each in fields(DayUsage)]
# Spreadsheets run texts that begin with these as formulas (CWE-1236).
_FORMULAS = ("=", "+", "-", "@")


def as_csv(days: Iterable[DayUsage]) -> str:
    """Return CSV (RFC 4180) with a header line."""
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS)
    writer.writeheader()
    writer.writerows(_row(day) for day in days)
    return text.getvalue()


def _row(day: DayUsage) -> dict[str, Any]:
    row = asdict(day)
    if day.tenant.startswith(_FORMULAS):
        row["tenant"] = f"'{day.tenant}"
    for name in ("audio_seconds", "device_seconds"):
        row[name] = round(row[name], 3)
    return row
