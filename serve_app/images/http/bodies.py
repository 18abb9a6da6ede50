"""Bodies with JSON, and clients that leave before their answer."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from fastapi import Request

from serve_app.api.leaving import disconnected
from serve_app.errors import Cancelled, UploadTooLarge

T = TypeVar("T")


async def read(request: Request, most_bytes: int) -> bytes:
    """Return the body. Raises UploadTooLarge beyond `most_bytes`."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most_bytes:
            raise UploadTooLarge(
                f"The body must be at most {most_bytes} bytes. Send fewer images, or "
                "smaller ones."
            )
    return bytes(body)


async def while_connected(request: Request, work: Awaitable[T]) -> T:
    """Return the result of `work`, which is cancelled as soon as the client leaves.

    The body must have been read. Raises Cancelled, which nobody receives.
    """
    task = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(disconnected(request.receive))
    try:
        await asyncio.wait({task, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise Cancelled("The client left.")
        return task.result()
    finally:
        leaving.cancel()
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled():
            task.exception()  # Marks it as retrieved.
