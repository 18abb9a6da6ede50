"""Responses with media: ranges, conditional requests, and the headers for players."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from starlette.requests import Request
from starlette.responses import Response

from serve_app.api import ranges
from serve_app.api.ranges import ByteRange
from serve_app.errors import RangeNotSatisfiable


@dataclass(frozen=True)
class Facts:
    """What is known of media before it is read; `etag` is strong, and quoted."""

    size_bytes: int
    etag: str
    media_type: str
    modified_at: datetime | None = None


@dataclass(frozen=True)
class Begun:
    """The beginning of a response to GET: its status, its headers, and its bytes."""

    status: int
    headers: dict[str, str]
    span: ByteRange


Send = Callable[[Begun], Awaitable[Response]]


async def answer(request: Request, facts: Facts, send: Send) -> Response:
    """Return the response to a GET or HEAD for media, which `send` completes.

    Raises RangeNotSatisfiable, and PreconditionFailed.
    """
    asked, etag, modified_at = request.headers, facts.etag, facts.modified_at
    if modified_at is not None:
        ranges.check_preconditions(asked, etag, modified_at)
    headers = _headers(facts)
    if ranges.is_unchanged(asked, etag, modified_at):
        return Response(status_code=304, headers=headers)
    span = ranges.requested(asked, facts.size_bytes, etag, modified_at)
    status = 200 if span is None else 206
    if span is not None:
        whole = f"{span.start}-{span.end - 1}/{facts.size_bytes}"
        headers["Content-Range"] = f"bytes {whole}"
    span = span or ByteRange(0, facts.size_bytes)
    headers["Content-Length"] = str(span.size_bytes)
    return await send(Begun(status, headers, span))


def of_media(media_type: str) -> dict[str, str]:
    """Return the headers of all media."""
    return {
        "Content-Type": media_type,
        "Content-Disposition": "inline",
        # It may be taken down: a cached copy must be revalidated.
        "Cache-Control": "no-cache",
    }


def unsatisfiable(size_bytes: int) -> RangeNotSatisfiable:
    """Return the error for a range outside of media."""
    return RangeNotSatisfiable(
        f"The range is outside the media, which has {size_bytes} bytes. Request a "
        "range within it.",
        size_bytes,
    )


def _headers(facts: Facts) -> dict[str, str]:
    headers = {
        **of_media(facts.media_type),
        "Accept-Ranges": "bytes",
        "ETag": facts.etag,
    }
    if facts.modified_at is not None:
        headers["Last-Modified"] = ranges.http_date(facts.modified_at)
    return headers
