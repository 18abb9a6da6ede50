"""What the routes of images need."""

import secrets
from collections.abc import AsyncGenerator
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Protocol

from serve_app.api.limits import Limit
from serve_app.diffusion.port import Facts, ImageRequest, Made, Step
from serve_app.images.http.known_facts import KnownFacts
from serve_app.images.limits import Limits
from serve_app.images.request import RandomBelow


class Replicas(Protocol):
    """The pool that makes images. A call that is cancelled frees the device."""

    async def generate(self, request: ImageRequest) -> Made:
        """Return the images of a request. Raises QueueFull, and the engine's errors."""

    def stream(self, request: ImageRequest) -> AsyncGenerator[Step | Made, None]:
        """Yield the steps of a request, with previews, and finally its images.

        Step 0 comes as soon as the request waits. Raises what `generate` raises.
        """

    async def describe(self) -> Facts:
        """Return what one of the engines says of itself."""


@dataclass(frozen=True)
class ImagesServices:
    """The pool, what is known of it, and the limits.

    Images are read and written in the `threads`, `reading` limits the bodies with
    images that are read at once, and pages of `cors_origins` may use the routes.
    """

    replicas: Replicas
    facts: KnownFacts
    threads: Executor
    reading: Limit
    limits: Limits
    cors_origins: tuple[str, ...]
    random: RandomBelow = secrets.randbelow
