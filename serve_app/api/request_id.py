"""The id of the request at hand: in its log line, its answer, and its problems."""

import re
from contextvars import ContextVar
from uuid import uuid4

HEADER = "x-request-id"
current: ContextVar[str] = ContextVar("request_id", default="")

_ACCEPTED = re.compile(r"[A-Za-z0-9._-]{1,64}")


def chosen(given: str) -> str:
    """Return the id that a client gave when it is a plain one, else a new one."""
    return given if _ACCEPTED.fullmatch(given) else uuid4().hex
