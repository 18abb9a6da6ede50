"""The steps of a request as server-sent events."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from concurrent.futures import Executor
from contextlib import aclosing

from fastapi import Request, Response
from fastapi.sse import KEEPALIVE_COMMENT, EventSourceResponse, format_sse_event

from serve_app.api import problems
from serve_app.api.threads import run_in
from serve_app.diffusion.port import ImageRequest, Made, Step
from serve_app.errors import AppError
from serve_app.images import answer
from serve_app.images.http import bodies
from serve_app.images.http.services import ImagesServices

logger = logging.getLogger(__name__)

# Proxies close connections that are idle for a minute.
KEEPALIVE_SECONDS = 15.0
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}

Coming = AsyncGenerator[Step | Made, None]


async def streamed(
    request: Request, services: ImagesServices, asked: ImageRequest
) -> Response:
    """Return the response with all steps; errors before the first one are raised."""
    coming = services.replicas.stream(asked)
    # It comes as soon as the request waits, so that a full queue is a status.
    first = await bodies.while_connected(request, anext(coming))
    return EventSourceResponse(
        _events(first, coming, services.threads), headers=_HEADERS
    )


async def _events(
    first: Step | Made, coming: Coming, threads: Executor
) -> AsyncIterator[bytes]:
    """Yield an event for each step, then the images or an error.

    The request is cancelled when the client leaves, which closes this generator.
    """
    try:
        yield await _event(first, threads)
        async with aclosing(_or_keepalive(coming)) as steps:
            async for step in steps:
                event = step and await _event(step, threads)
                yield event or KEEPALIVE_COMMENT
    except AppError as err:
        problem = problems.of(err).model_dump_json(exclude_none=True)
        yield format_sse_event(event="error", data_str=problem)
    except Exception:
        logger.exception("stream of images failed")
        problem = bytes(problems.unexpected().body).decode()
        yield format_sse_event(event="error", data_str=problem)
    finally:
        await coming.aclose()


async def _or_keepalive(coming: Coming) -> AsyncGenerator[Step | Made | None, None]:
    """Yield what comes, and None whenever nothing has come for a while."""
    while True:
        task = asyncio.ensure_future(anext(coming, None))
        try:
            while not task.done():
                await asyncio.wait({task}, timeout=KEEPALIVE_SECONDS)
                if not task.done():
                    yield None
            step = task.result()
        finally:
            # A generator that runs can't be closed.
            task.cancel()
            await asyncio.wait({task})
        if step is None:
            return
        yield step


async def _event(step: Step | Made, threads: Executor) -> bytes:
    name, encode = _form(step)
    data = await run_in(threads, encode)
    return format_sse_event(event=name, data_str=data.decode())


def _form(step: Step | Made) -> tuple[str, Callable[[], bytes]]:
    if isinstance(step, Made):
        return "images", lambda: answer.encoded(step)
    return "step", lambda: answer.progress(step)
