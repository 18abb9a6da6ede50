"""What an image engine gets, gives and says of itself; plain data, without torch."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

# 8-bit RGB, (height, width, 3).
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class ImageRequest:
    """Images to make: one for each seed.

    With `images` it is image-to-image: they are fitted to `width` and `height`, and
    combined as the mean of their latents. `strength` in (0, 1] is then the share of the
    noise. `steps` and `guidance` of None are the model's own.
    """

    prompt: str
    width: int
    height: int
    seeds: tuple[int, ...]
    negative_prompt: str = ""
    steps: int | None = None
    guidance: float | None = None
    images: tuple[Pixels, ...] = ()
    strength: float = 0.6


@dataclass(frozen=True)
class Made:
    """The images of a request, in the order of its seeds, and what was really used.

    `flagged` marks images that the model's safety checker has blackened.
    """

    images: tuple[Pixels, ...]
    seeds: tuple[int, ...]
    steps: int
    guidance: float
    scheduler: str
    model: str
    licence: str
    warnings: tuple[str, ...] = ()
    flagged: tuple[bool, ...] = ()


@dataclass(frozen=True)
class Step:
    """The progress of a batch: `number` steps of `steps` are done.

    `previews` has a small picture of the latents for each image of a request, if it was
    asked for.
    """

    number: int
    steps: int
    previews: tuple[Pixels, ...] = ()


@dataclass(frozen=True)
class Facts:
    """What an engine says of itself, for /health.

    `device` is `cpu`, `cuda`, `cuda:1` or `mps`. `few_steps` models obey no more than
    their range of steps and guidance, and say so in warnings.
    """

    model: str
    licence: str
    device: str
    scheduler: str
    steps: int
    guidance: float
    precision: str
    few_steps: bool
    memory_optimizations: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class Engine(Protocol):
    """Makes images. Methods block; one call runs at a time."""

    def facts(self) -> Facts:
        """Return what it is; cheap, also from another thread while it works."""

    def batch_key(self, request: ImageRequest) -> tuple[object, ...]:
        """Return what requests must have in common to be made together."""

    def make(
        self,
        requests: Sequence[ImageRequest],
        on_step: Callable[[Mapping[int, Step]], None],
        is_wanted: Callable[[], bool],
        with_previews: frozenset[int] = frozenset(),
    ) -> list[Made]:
        """Make the images of requests with one batch key.

        `on_step` gets the step of each request by its index; those in `with_previews`
        have previews. Raises errors.Stopped between two steps when `is_wanted` turns
        False, and errors.OutOfDeviceMemory.
        """
