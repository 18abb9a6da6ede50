"""Fields of all log lines of the current request or job."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from serve_app.api import request_id
from serve_app.telemetry.tracing import current as tracing

_NONE: Mapping[str, str] = {}
_bound: ContextVar[Mapping[str, str]] = ContextVar("log_fields", default=_NONE)


@contextmanager
def bound(job: str, request: str | None) -> Iterator[None]:
    """Add a job, and the id of the request that added it, to the lines of the block.

    This applies to the current thread or task.
    """
    fields = {"job": job, "request": request or ""}
    token = _bound.set({name: value for name, value in fields.items() if value})
    try:
        yield
    finally:
        _bound.reset(token)


def current() -> dict[str, str]:
    """Return the fields of the current request or job, and the id of its trace."""
    fields = {"request": request_id.current.get(), "trace_id": tracing.trace_id()}
    known = {name: value for name, value in fields.items() if value}
    return {**known, **_bound.get()}
