"""The interface of runtimes, and the options that operators set for them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from torch import Tensor

Runtime = Literal["auto", "torch", "openvino"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]


class OutOfMemory(Exception):
    """The device has not enough memory for a batch of this size."""


@dataclass(frozen=True)
class BackendOptions:
    """The device, runtime and precision of a network.

    `threads` 0 is one per core that this process may use. It applies to the whole
    process: the last backend's value counts. `streams` is the number of windows that a
    CPU computes at once, each with its share of the threads; 0 is the runtime's
    default. `cache_dir` stores converted networks.
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
    """The options in use, after `auto` and 0 are resolved."""

    runtime: str
    precision: str
    device: str
    threads: int
    streams: int


class Backend(Protocol):
    """A network with its weights, on its device."""

    @property
    def facts(self) -> BackendFacts:
        """The options in use."""

    @property
    def batch_windows(self) -> int:
        """The default number of windows in a batch."""

    def forward(self, batch: Tensor) -> Tensor:
        """Map mixes (batch, 2, window) to stems (batch, source, 2, window).

        Both are float32 in host memory; the caller may change the stems. Raises
        OutOfMemory. Called by up to `streams` threads at once.
        """

    def rest(self) -> None:
        """Free the memory that only `forward` needs; called while none runs."""
