"""Files as answers: whole, in part, or not at all if the client has them (RFC 9110)."""

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
    """What a file says of itself; browsers save it where it has a `filename`.

    `version` is another one whenever a byte of it is.
    """

    size_bytes: int
    version: str
    media_type: str
    filename: str | None = None


def version_of_bytes(body: bytes) -> str:
    """Return the version of a file that is in memory."""
    return hashlib.sha256(body).hexdigest()


def version_of_stored(file: StoredFile) -> str:
    """Return the version of a file in the store, by when it was stored."""
    facts = f"{file.key} {file.size_bytes} {file.modified_at.isoformat()}"
    return version_of_bytes(facts.encode())


def responses(description: str, content: dict[str, Any]) -> dict[int | str, Any]:
    """Describe the answers that have a file, for OpenAPI."""
    return {
        200: {"description": description, "content": content},
        206: {
            "description": "The part of it that was asked for by `Range`",
            "content": content,
        },
        304: {"description": "The client has it already, by `If-None-Match`"},
        **documented(RangeNotSatisfiable),
    }


async def answer(request: Request, download: Download, read: Read) -> Response:
    """Answer with a file, of which `read` gives the bytes that are asked for.

    `Range`, `If-Range` and `If-None-Match` are obeyed. Raises RangeNotSatisfiable.
    """
    headers, size_bytes = _headers(download), download.size_bytes
    if ranges.is_unchanged(request.headers, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    media_type = download.media_type
    if request.method == "HEAD":
        headers["Content-Length"] = str(size_bytes)
        return Response(headers=headers, media_type=media_type)
    status, part = 200, ByteRange(0, size_bytes)
    if asked := ranges.requested(request.headers, size_bytes, headers["ETag"]):
        status, part = 206, asked
        headers["Content-Range"] = f"bytes {part.start}-{part.end - 1}/{size_bytes}"
    headers["Content-Length"] = str(part.size_bytes)
    if pieces.HEADER in request.headers:
        headers[pieces.HEADER] = "1"
        part = pieces.asked(request.headers, part)
    content = await read(part)
    if isinstance(content, bytes):
        return Response(content, status, headers, media_type)
    return StreamingResponse(content, status, headers, media_type)


def _headers(download: Download) -> dict[str, str]:
    headers = {
        "ETag": f'"{download.version}"',
        "Accept-Ranges": "bytes",
        # Deleted when the job is: a copy may be kept but must be asked about.
        "Cache-Control": "private, no-cache",
        "X-Content-Type-Options": "nosniff",
    }
    if download.filename is not None:
        headers["Content-Disposition"] = attachment(download.filename)
    return headers
