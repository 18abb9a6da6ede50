"""Responses with a file: ranges and conditional requests (RFC 9110)."""

import hashlib
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

from fastapi import Request, Response
from starlette.responses import StreamingResponse

from serve_app.api import pieces, ranges
from serve_app.api.problems import documented
from serve_app.api.ranges import ByteRange
from serve_app.errors import RangeNotSatisfiable
from serve_app.filenames.content_disposition import attachment
from serve_app.storage.port import StoredFile

Content = bytes | Iterator[bytes]
Read = Callable[[ByteRange], Awaitable[Content]]


@dataclass(frozen=True)
class Download:
    """The metadata of a file. With a `filename`, browsers save it.

    `version` changes whenever a byte of the file changes.
    """

    size_bytes: int
    version: str
    media_type: str
    filename: str | None = None


def version_of_bytes(body: bytes) -> str:
    """Return the version of a file in memory: its hash."""
    return hashlib.sha256(body).hexdigest()


def version_of_stored(file: StoredFile) -> str:
    """Return the version of a stored file, from its key, size and time."""
    facts = f"{file.key} {file.size_bytes} {file.modified_at.isoformat()}"
    return version_of_bytes(facts.encode())


def responses(description: str, content: dict[str, Any]) -> dict[int | str, Any]:
    """Describe the responses with a file, for OpenAPI."""
    return {
        200: {"description": description, "content": content},
        206: {
            "description": "The bytes that `Range` requests",
            "content": content,
        },
        304: {"description": "Not modified: `If-None-Match` names this version"},
        **documented(RangeNotSatisfiable),
    }


async def answer(request: Request, download: Download, read: Read) -> Response:
    """Return the response with a file; `read` returns a range of its bytes.

    Supports `Range`, `If-Range` and `If-None-Match`. Raises RangeNotSatisfiable.
    """
    headers, size_bytes = _headers(download), download.size_bytes
    if ranges.is_unchanged(request.headers, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    media_type = download.media_type
    if request.method == "HEAD":
        headers["Content-Length"] = str(size_bytes)
        return Response(headers=headers, media_type=media_type)
    status, span = 200, ByteRange(0, size_bytes)
    if requested := ranges.requested(request.headers, size_bytes, headers["ETag"]):
        status, span = 206, requested
        headers["Content-Range"] = f"bytes {span.start}-{span.end - 1}/{size_bytes}"
    headers["Content-Length"] = str(span.size_bytes)
    if pieces.HEADER in request.headers:
        headers[pieces.HEADER] = "1"
        span = pieces.requested(request.headers, span)
    content = await read(span)
    if isinstance(content, bytes):
        return Response(content, status, headers, media_type)
    return StreamingResponse(content, status, headers, media_type)


def _headers(download: Download) -> dict[str, str]:
    headers = {
        "ETag": f'"{download.version}"',
        "Accept-Ranges": "bytes",
        # Files are deleted with their job: a cached copy must be revalidated.
        "Cache-Control": "private, no-cache",
        "X-Content-Type-Options": "nosniff",
    }
    if download.filename is not None:
        headers["Content-Disposition"] = attachment(download.filename)
    return headers
