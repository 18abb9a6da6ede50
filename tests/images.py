"""Stand-ins for the engine of images, and pictures to send."""

import asyncio
import base64
from collections.abc import AsyncGenerator, Callable
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

from serve_app.diffusion.port import Facts, ImageRequest, Made, Pixels, Step

FACTS = Facts(
    model="tiny",
    licence="MIT",
    device="cpu",
    scheduler="LCMScheduler",
    steps=4,
    guidance=1.0,
    precision="fp32",
    few_steps=True,
    memory_optimizations=("vae_slicing",),
    notes=("Random weights.",),
)
STEPS = 3


def picture(seed: int, width: int = 8, height: int = 8) -> Pixels:
    """Return noise that depends on its seed alone."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


def made(request: ImageRequest, **changes: Any) -> Made:
    """Return small images of a request."""
    values: dict[str, Any] = {
        "images": tuple(picture(seed) for seed in request.seeds),
        "seeds": request.seeds,
        "steps": request.steps or FACTS.steps,
        "guidance": FACTS.guidance if request.guidance is None else request.guidance,
        "scheduler": FACTS.scheduler,
        "model": FACTS.model,
        "licence": FACTS.licence,
        "warnings": ("Random weights: this is no trained model.",),
    }
    return Made(**{**values, **changes})


class Replicas:
    """Make pictures of seeds, take note of requests, and fail as they are told.

    With `holds` a request goes on until it is cancelled.
    """

    def __init__(self) -> None:
        self.requests: list[ImageRequest] = []
        self.cancelled = 0
        self.error: Exception | None = None
        self.error_at_step: Exception | None = None
        self.holds = False
        self.started = asyncio.Event()
        self.facts: Callable[[], Facts] = lambda: FACTS

    async def generate(self, request: ImageRequest) -> Made:
        """Return the images of a request."""
        self._begin(request)
        await self._hold()
        return made(request)

    async def stream(self, request: ImageRequest) -> AsyncGenerator[Step | Made, None]:
        """Yield three steps with previews, and the images."""
        self._begin(request)
        yield Step(0, 0)
        for number in range(1, STEPS + 1):
            if self.error_at_step is not None:
                raise self.error_at_step
            yield Step(number, STEPS, tuple(picture(seed) for seed in request.seeds))
            await self._hold()
        yield made(request)

    async def describe(self) -> Facts:
        """Return the facts."""
        return self.facts()

    def _begin(self, request: ImageRequest) -> None:
        self.requests.append(request)
        self.started.set()
        if self.error is not None:
            raise self.error

    async def _hold(self) -> None:
        if not self.holds:
            return
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled += 1


def file(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    """Return an image as a file."""
    data = BytesIO()
    image.save(data, form, **options)
    return data.getvalue()


def encoded(image: Image.Image, form: str = "PNG", **options: Any) -> str:
    """Return an image as base64 of a file."""
    return base64.b64encode(file(image, form, **options)).decode()


def opened(text: str) -> Image.Image:
    """Return the image of a base64 without a prefix."""
    image = Image.open(BytesIO(base64.b64decode(text, validate=True)))
    image.load()
    return image
