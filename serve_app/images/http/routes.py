"""Make images, and time how long one takes."""

import logging
import time
from collections.abc import Callable

from fastapi import APIRouter, Request, Response

from serve_app.api.dependencies import InjectedClient
from serve_app.api.problems import documented
from serve_app.api.route_rules import MAX_PLAIN_BYTES
from serve_app.api.threads import run_in
from serve_app.diffusion.errors import OutOfDeviceMemory
from serve_app.diffusion.port import ImageRequest
from serve_app.errors import (
    AppError,
    BadRequest,
    InvalidField,
    QueueFull,
    UploadTooLarge,
)
from serve_app.images import answer
from serve_app.images.http import bodies, events
from serve_app.images.http.services import ImagesServices
from serve_app.images.http.wire import GENERATE, REFINE, Benchmark, Images
from serve_app.images.limits import Limits
from serve_app.images.request import RandomBelow, generation, refinement

logger = logging.getLogger(__name__)
router = APIRouter(tags=["images"])

_NO_STORE = {"Cache-Control": "no-store"}
_ERRORS = documented(InvalidField, UploadTooLarge, QueueFull, OutOfDeviceMemory)
_BENCHMARK = ImageRequest("a lighthouse on a cliff at dusk", 512, 512, seeds=(1,))
# The longest times of each rating, in seconds.
_RATINGS = ((2.0, "excellent"), (5.0, "good"), (15.0, "fair"))

Parse = Callable[[bytes, Limits, RandomBelow], ImageRequest]


@router.post(
    "/generate",
    summary="Make images of a text",
    response_model=Images,
    responses=_ERRORS,
    openapi_extra=GENERATE,
)
async def generate(request: Request, stream: bool = False) -> Response:
    """Return finished images. With `stream=1`, send each step first.

    The stream of server-sent events has an event `step` after each step, with small
    previews, and ends with `images`, which has the same as the other response, or with
    `error`.
    """
    asked = await _asked(request, generation, MAX_PLAIN_BYTES)
    return await _answered(request, asked, stream)


@router.post(
    "/refine",
    summary="Make images of a text and images",
    response_model=Images,
    responses={**_ERRORS, **documented(BadRequest)},
    openapi_extra=REFINE,
)
async def refine(
    request: Request, client: InjectedClient, stream: bool = False
) -> Response:
    """Return finished images, as large as the first one that was sent.

    Several images are combined. `stream=1` does the same as in `/generate`.
    """
    services: ImagesServices = request.app.state.images
    with services.reading.held(client.name):
        asked = await _asked(request, refinement, services.limits.max_body_bytes)
    return await _answered(request, asked, stream)


@router.get("/benchmark", summary="Time an image", response_model_exclude_none=True)
async def benchmark(request: Request, response: Response) -> Benchmark:
    """Make one image of 512 x 512 and return how long it took. Always 200."""
    services: ImagesServices = request.app.state.images
    response.headers.update(_NO_STORE)
    facts = services.facts.newest
    device = "unknown" if facts is None else facts.device
    began = time.monotonic()
    try:
        work = services.replicas.generate(_BENCHMARK)
        made = await bodies.while_connected(request, work)
    except AppError as err:
        return Benchmark(benchmark="failed", error=err.detail, device=device)
    except Exception:
        logger.exception("benchmark of images failed")
        error = "The server failed; see its log."
        return Benchmark(benchmark="failed", error=error, device=device)
    seconds = time.monotonic() - began
    return Benchmark(
        benchmark="completed",
        prompt=_BENCHMARK.prompt,
        generation_time_seconds=round(seconds, 2),
        steps=made.steps,
        device=device,
        guidance_scale=made.guidance,
        images_generated=len(made.images),
        performance_rating=_rating(seconds),
    )


async def _asked(request: Request, parse: Parse, most_bytes: int) -> ImageRequest:
    """Return what a request asks for; its body is not kept any longer."""
    services: ImagesServices = request.app.state.images
    body = await bodies.read(request, most_bytes)
    arguments = body, services.limits, services.random
    return await run_in(services.threads, parse, *arguments)


async def _answered(request: Request, asked: ImageRequest, is_stream: bool) -> Response:
    services: ImagesServices = request.app.state.images
    if is_stream:
        return await events.streamed(request, services, asked)
    work = services.replicas.generate(asked)
    made = await bodies.while_connected(request, work)
    content = await run_in(services.threads, answer.encoded, made)
    return Response(content, headers=_NO_STORE, media_type="application/json")


def _rating(seconds: float) -> str:
    fitting = (rating for longest, rating in _RATINGS if seconds <= longest)
    return next(fitting, "slow")
