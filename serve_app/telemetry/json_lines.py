"""Log lines as JSON: one object a line, with the fields of the text as keys."""

import json
import logging
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from serve_app.telemetry import log_context

# The attribute of a record that has the fields of its request or job.
_CONTEXT = "stemserve_context"
# `event key=value key="quoted value"`, as all log lines of the service are.
_PAIR = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|\S*)')
_PAIRS = re.compile(
    rf"(?P<event>[^=]*?) (?P<pairs>{_PAIR.pattern}(?: {_PAIR.pattern})*)"
)


class ContextFilter(logging.Filter):
    """Keeps the fields of the current request or job with each record.

    A handler with a buffer formats records later, and in other contexts.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Accept the record."""
        setattr(record, _CONTEXT, log_context.current())
        return True


class JsonLines(logging.Formatter):
    """Formats records as JSON; `process` has fields of all lines of this process."""

    def __init__(self, process: Mapping[str, str]) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line."""
        event, fields = parsed(record.getMessage())
        time = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, Any] = {
            "time": time.isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "event": event,
            "logger": record.name,
            **self._process,
        }
        for name, value in {**getattr(record, _CONTEXT, {}), **fields}.items():
            line.setdefault(name, value)
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def parsed(message: str) -> tuple[str, dict[str, str]]:
    """Return the event and the fields of a log line.

    A line without fields, or with other text between them, is the event as a whole.
    """
    found = _PAIRS.fullmatch(message)
    if found is None:
        return message, {}
    pairs = _PAIR.findall(found["pairs"])
    return found["event"], {name: _unquoted(value) for name, value in pairs}


def _unquoted(value: str) -> str:
    if not value.startswith('"'):
        return value
    try:
        return str(json.loads(value))
    except ValueError:
        return value
