"""What the engine asks of a runtime, and what an operator may ask of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from torch import Tensor

Runtime = Literal["auto", "torch", "openvino"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]


class OutOfMemory(Exception):
    """The device has no room for a batch of this size."""


@dataclass(frozen=True)
class BackendOptions:
    """Where, with what and how precisely a network is to be computed.

    `threads` 0 is one per core this process may use; it holds for the whole process:
    with several backends, the last one's. `streams` is how many windows a CPU computes
    at once, each with its share of the threads; 0 is what suits the runtime.
    `cache_dir` keeps converted networks.
    """

    device: str = "auto"
    runtime: Runtime = "auto"
    precision: Precision = "auto"
    threads: int = 0
    streams: int = 0
    compiled: bool = False
    cache_dir: Path | None = None


@dataclass(frozen=True)
class BackendFacts:
    """What was chosen."""

    runtime: str
    precision: str
    device: str
    threads: int
    streams: int


class Backend(Protocol):
    """A network with its weights, on its device."""

    @property
    def facts(self) -> BackendFacts:
        """What computes here."""

    @property
    def batch_windows(self) -> int:
        """How many windows in a batch suit the device."""

    def forward(self, batch: Tensor) -> Tensor:
        """Map mixes (batch, 2, window) to stems (batch, source, 2, window).

        Both are float32 in the host's memory, and the stems are the caller's to change.
        Raises OutOfMemory. Is called by as many threads at once as there are streams.
        """

    def rest(self) -> None:
        """Give up the memory that only a forward needs; called while none runs."""
