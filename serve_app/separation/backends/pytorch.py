"""Compute networks with torch, on CPUs and on CUDA devices."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torchaudio.models import HDemucs

from serve_app.errors import InvalidInput
from serve_app.separation.backends import devices
from serve_app.separation.backends.port import (
    BackendFacts,
    BackendOptions,
    OutOfMemory,
    Precision,
)
from serve_app.separation.hybrid import Hybrid
from serve_app.separation.rewrites import rewritten

_DTYPES: dict[str, torch.dtype] = {
    "fp32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}
_GPU_BATCH_WINDOWS = 12
_GRAPH_WARM_UPS = 3


class TorchBackend:
    """A network in torch; an `HDemucs` is rewritten, others run unchanged.

    On CUDA, batch sizes are rounded up to powers of two, and each has a CUDA graph,
    captured at its first use: a batch is launched as one, not kernel by kernel.
    """

    def __init__(self, network: nn.Module, options: BackendOptions) -> None:
        self._device = devices.resolve(options.device)
        self._threads = devices.cores(options.threads)
        self._precision = _precision(options.precision, network, self._device)
        on_cpu = self._device.type == "cpu"
        # One stream by default: each more needs memory for another window.
        self._streams = devices.streams(
            options.streams if on_cpu else 1, 1, self._threads
        )
        torch.set_num_threads(self._threads // self._streams)
        if isinstance(network, HDemucs):
            network = rewritten(
                network,
                rows="blocks" if on_cpu else "batch",
                winograd=on_cpu and self._precision == "fp32",
            )
        self.network = network.to(self._device).eval()
        if isinstance(network, Hybrid):
            network.core.to(_DTYPES[self._precision])
        self._compute: Callable[[Tensor], Tensor] = self.network
        if options.compiled:
            self._compute = torch.compile(self.network)
        self._graphs: dict[int, _Graph] = {}

    @property
    def facts(self) -> BackendFacts:
        """The options in use."""
        name = devices.name(self._device)
        return BackendFacts(
            "torch", self._precision, name, self._threads, self._streams
        )

    @property
    def batch_windows(self) -> int:
        """Many windows on a GPU; 1 on a CPU, which is not faster with more."""
        return _GPU_BATCH_WINDOWS if self._device.type == "cuda" else 1

    @torch.inference_mode()
    def forward(self, batch: Tensor) -> Tensor:
        """Map mixes (batch, 2, window) to stems; see `Backend`."""
        try:
            if self._device.type == "cuda":
                return self._graph(batch).replay(batch)
            return self._compute(batch)
        except torch.cuda.OutOfMemoryError as err:
            self._graphs.clear()
            torch.cuda.empty_cache()
            raise OutOfMemory(str(err)) from err

    def rest(self) -> None:
        """Do nothing: a CPU keeps no memory, and a GPU's belongs to its graphs."""

    def _graph(self, batch: Tensor) -> "_Graph":
        size = 1 << (len(batch) - 1).bit_length()
        if size not in self._graphs:
            shape = (size, *batch.shape[1:])
            self._graphs[size] = _Graph(self._compute, shape, self._device)
        return self._graphs[size]


class _Graph:
    """A CUDA graph of a pass over batches of one size, with pinned host buffers."""

    def __init__(
        self,
        compute: Callable[[Tensor], Tensor],
        shape: tuple[int, ...],
        device: torch.device,
    ) -> None:
        self._mix = torch.zeros(shape, device=device)
        self._host_mix = torch.zeros(shape, pin_memory=True)
        stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        # The first passes select algorithms, which can't be captured.
        stream.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(stream):
            for _ in range(_GRAPH_WARM_UPS):
                compute(self._mix)
        torch.cuda.current_stream(device).wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._stems = compute(self._mix)

    def replay(self, batch: Tensor) -> Tensor:
        """Compute a batch of at most this graph's size."""
        count = len(batch)
        self._host_mix[:count].copy_(batch)
        self._mix.copy_(self._host_mix, non_blocking=True)
        self._graph.replay()
        stems = torch.empty(self._stems[:count].shape, pin_memory=True)
        stems.copy_(self._stems[:count], non_blocking=True)
        torch.cuda.current_stream(self._mix.device).synchronize()
        return stems


def _precision(asked: Precision, network: nn.Module, device: torch.device) -> Precision:
    if not isinstance(network, HDemucs):
        if asked not in ("auto", "fp32"):
            raise InvalidInput(
                f"The precision of this model must be `fp32` or `auto`, got {asked!r}."
            )
        return "fp32"
    if asked == "fp16" and device.type != "cuda":
        raise InvalidInput(
            "The precision `fp16` needs a CUDA device. Use `bf16` or `fp32` on a CPU."
        )
    return devices.best_precision(device) if asked == "auto" else asked
