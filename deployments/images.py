"""Images: the pool with the model, and its routes."""

import asyncio
import logging
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import Any, ClassVar

from pydantic import ValidationInfo, field_validator
from ray.serve.handle import DeploymentHandle

from deployments import memory, niceness, nodes, replica_ports
from deployments.kernel import Kernel
from deployments.logs import configure_logging
from deployments.pool import Pool, RequestPool, Strict, bind, over_defaults
from deployments.pools import answer_of
from deployments.ray_errors import Failed, translated, value_of
from deployments.system import Calls, DispatcherPart, Handles, Pools
from serve_app.api.limits import Limit
from serve_app.api.part import ApiPart
from serve_app.diffusion.batcher import Batcher
from serve_app.diffusion.options import ModelOptions
from serve_app.diffusion.port import Engine, Facts, ImageRequest, Made, Step
from serve_app.errors import AppError, Unavailable
from serve_app.images import limits
from serve_app.images.http.known_facts import KnownFacts
from serve_app.images.http.part import ImagesServices, part
from serve_app.images.settings_rules import RULES
from serve_app.settings import Settings
from serve_app.settings.check import Rule

logger = logging.getLogger(__name__)

_AWAY = "The engine of images can't be reached now. Try again in a few seconds."
_LOADING = "The model of images is being loaded. Try again in a few seconds."
# A model that could not be loaded, because the hub was away, is tried again.
_RETRY_LOADING_SECONDS = 30.0
# Images that are read and written at once, and bodies with images that are read: both
# take memory.
_THREADS, _BODIES = 4, 16
_STARTED = Step(0, 0)


@dataclass(frozen=True)
class _Loaded:
    """A model, and the queue before it."""

    engine: Engine
    batcher: Batcher


class Making:
    """Makes images with the engine that `load` returns, which takes its time.

    Requests wait until it is loaded. At most `most_requests` then wait or run, and up
    to `most_images` are made together. Serve ends a replica whose steps take longer
    than `step_timeout_seconds`. To be made on an event loop.
    """

    def __init__(
        self,
        load: Callable[[], Engine],
        most_requests: int,
        most_images: int,
        step_timeout_seconds: float = inf,
    ) -> None:
        self._load = load
        self._most_requests = most_requests
        self._most_images = most_images
        self._step_timeout_seconds = step_timeout_seconds
        self._begin_loading()

    async def generate(self, request: ImageRequest) -> Made | Failed:
        """Return the images of a request; its cancellation frees the device."""
        try:
            ticket = (await self._batcher()).submit(request)
            return await asyncio.wrap_future(ticket.future)
        except AppError as error:
            return Failed(error)

    async def stream(
        self, request: ImageRequest
    ) -> AsyncIterator[Step | Made | Failed]:
        """Yield the steps of a request, step 0 at once, and finally its images."""
        loop = asyncio.get_running_loop()
        steps: asyncio.Queue[Step | None] = asyncio.Queue()

        def on_step(step: Step) -> None:
            loop.call_soon_threadsafe(steps.put_nowait, step)

        try:
            batcher = await self._batcher()
            ticket = batcher.submit(request, on_step, with_preview=True)
        except AppError as error:
            yield Failed(error)
            return
        made = asyncio.wrap_future(ticket.future)
        made.add_done_callback(lambda _: steps.put_nowait(None))
        try:
            yield _STARTED
            while (step := await steps.get()) is not None:
                yield step
            yield await made
        except AppError as error:
            yield Failed(error)
        finally:
            ticket.cancel()

    async def describe(self) -> Facts | Failed:
        """Return what the engine says of itself; it does not wait for it."""
        if not self._loading.done():
            return Failed(Unavailable(_LOADING))
        try:
            return self._loading.result().engine.facts()
        except AppError as error:
            return Failed(error)

    async def check_health(self) -> None:
        """Raise TimeoutError if the engine hangs; Serve calls this."""
        if not self._loading.done() or self._loading.exception() is not None:
            return
        stalled_seconds = self._loading.result().batcher.stalled_seconds()
        if stalled_seconds > self._step_timeout_seconds:
            raise TimeoutError(
                f"image engine hangs seconds_without_step={stalled_seconds:.0f}"
            )

    async def _batcher(self) -> Batcher:
        """Return the queue, once the model is loaded; begin again if it was not."""
        has_failed = self._loading.done() and self._loading.exception() is not None
        if has_failed and time.monotonic() >= self._retries_at:
            self._begin_loading()
        return (await asyncio.shield(self._loading)).batcher

    def _begin_loading(self) -> None:
        self._retries_at = time.monotonic() + _RETRY_LOADING_SECONDS
        self._loading = asyncio.ensure_future(asyncio.to_thread(self._loaded))

    def _loaded(self) -> _Loaded:
        try:
            engine = self._load()
        except Exception as error:
            # Nobody may ask for images, or for /health, for hours.
            logger.error("image model not loaded error=%s", error)
            raise
        return _Loaded(engine, Batcher(engine, self._most_requests, self._most_images))


class Images(Making):
    """The deployment with the model: some requests at once, the others wait."""

    def __init__(self, settings: Settings) -> None:
        replica_ports.keep_from_network()
        nodes.refuse_several(settings)
        configure_logging(settings)
        # Threads have the niceness of the one that starts them.
        os.nice(niceness.IMAGES)
        # Serve calls constructors on the replica's event loop.
        super().__init__(
            partial(_engine, settings),
            settings.images_queue,
            settings.images_batch,
            settings.images_step_timeout_seconds,
        )
        memory.keep_giving_back()


class ImagesPool:
    """Calls to the pool, as the routes make them."""

    def __init__(self, handle: DeploymentHandle) -> None:
        self._handle = handle
        self._streaming = handle.options(stream=True)

    async def generate(self, request: ImageRequest) -> Made:
        """Return the images of a request."""
        made: Made = await answer_of(self._handle.generate.remote(request), _AWAY)
        return made

    async def stream(self, request: ImageRequest) -> AsyncGenerator[Step | Made, None]:
        """Yield the steps of a request, and finally its images."""
        coming = self._streaming.stream.remote(request)
        try:
            with translated(lambda _: Unavailable(_AWAY)):
                async for event in coming:
                    yield value_of(event)
        finally:
            coming.cancel()

    async def describe(self) -> Facts:
        """Return what one of the engines says of itself."""
        facts: Facts = await answer_of(self._handle.describe.remote(), _AWAY)
        return facts


class ImagesArgs(Strict):
    """The pool of the system."""

    images: RequestPool = Pool(graceful_shutdown_timeout_s=120)

    @field_validator("images", mode="before")
    @classmethod
    def _over_defaults(cls, given: Any, info: ValidationInfo) -> Any:
        return over_defaults(cls, given, info)


@dataclass(frozen=True)
class ImagesSystem:
    """Makes images of texts, and of texts and images."""

    Args: ClassVar[type[ImagesArgs]] = ImagesArgs
    settings_rules: ClassVar[Mapping[str, Rule]] = RULES

    args: ImagesArgs

    def pools(self, settings: Settings) -> Pools:
        """Return the pool, bound. Raises ValueError if it takes too few requests."""
        pool = self.args.images
        if pool.max_ongoing_requests <= settings.images_queue:
            raise ValueError(
                "max_ongoing_requests of the pool `images` must be more than "
                f"STEMSERVE_IMAGES_QUEUE={settings.images_queue}: a replica refuses "
                "more requests than that, and they must reach it"
            )
        return {"images": bind(Images, pool, settings)}

    def in_api(self, kernel: Kernel, handles: Handles, calls: Calls) -> ApiPart:
        """Return the routes, and what they need."""
        replicas, settings = ImagesPool(handles["images"]), kernel.settings
        return part(
            ImagesServices(
                replicas,
                KnownFacts(replicas.describe),
                threads=ThreadPoolExecutor(_THREADS, "images"),
                reading=Limit("requests with images", _BODIES),
                limits=limits.configured(settings),
                cors_origins=settings.images_cors_origins,
            )
        )

    def in_dispatcher(self, kernel: Kernel, handles: Handles) -> DispatcherPart:
        """Return nothing: images are no jobs."""
        return DispatcherPart()


SYSTEM = ImagesSystem


def _engine(settings: Settings) -> Engine:
    # Imported here: a process that only binds the pool does not need it.
    from serve_app.diffusion.loading import load

    return load(_options(settings))


def _options(settings: Settings) -> ModelOptions:
    return ModelOptions(
        model_id=settings.images_model_id,
        lora_id=settings.images_lora,
        weights_dir=settings.images_weights_dir,
        steps=settings.images_steps,
        guidance=settings.images_guidance,
        scheduler=settings.images_scheduler,
        precision=settings.images_precision,
        device=settings.images_device,
        compiled=settings.images_compile,
        threads=settings.images_threads,
    )
