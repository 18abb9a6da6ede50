"""The id of the current request, for its log line, response and problems."""

import re
from contextvars import ContextVar
from uuid import uuid4

HEADER = "x-request-id"
current: ContextVar[str] = ContextVar("request_id", default="")

_ACCEPTED = re.compile(r"[A-Za-z0-9._-]{1,64}")


def chosen(given: str) -> str:
    """Return the client's id if it is valid, or a new one."""
    return given if _ACCEPTED.fullmatch(given) else uuid4().hex
