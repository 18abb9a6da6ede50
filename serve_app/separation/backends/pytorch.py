"""Compute networks with torch, on CPUs and on CUDA devices."""

from collections.abc import Callable
from threading import Lock

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
# A power of two, as the sizes of graphs are.
_GPU_BATCH_WINDOWS = 16
# While one batch is computed, another is copied.
_GPU_STREAMS = 2
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
        # One stream by default on a CPU: each more needs memory for another window.
        usual = 1 if on_cpu else _GPU_STREAMS
        self._streams = devices.streams(options.streams, usual, self._threads)
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
        for module in network.modules():
            # Its weights were moved one by one, and cuDNN would join them in each pass.
            if isinstance(module, nn.LSTM) and not on_cpu:
                module.flatten_parameters()
        self._compute: Callable[[Tensor], Tensor] = self.network
        if options.compiled:
            self._compute = torch.compile(self.network)
        self._graphs = None if on_cpu else _Graphs(self._compute, self._device)

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
            compute = self._graphs.run if self._graphs else self._compute
            return compute(batch)
        except torch.cuda.OutOfMemoryError as err:
            reason = str(err)
        # Here, because the error holds on to the tensors of the pass that failed.
        if self._graphs:
            self._graphs.clear()
        raise OutOfMemory(reason)

    def rest(self) -> None:
        """Do nothing: a CPU keeps no memory, and a GPU's belongs to its graphs."""


class _Graphs:
    """CUDA graphs of a pass over batches, one for each size; thread-safe.

    They are replayed one at a time, so they share a pool of memory: that of the largest
    is enough for all. Threads overlap in copying to and from the host.
    """

    def __init__(
        self, compute: Callable[[Tensor], Tensor], device: torch.device
    ) -> None:
        self._compute = compute
        self._device = device
        self._lock = Lock()
        self._graphs: dict[int, _Graph] = {}
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._pool = self._new_pool()

    def run(self, batch: Tensor) -> Tensor:
        """Compute a batch on the host; the stems are on the host too."""
        copies = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        with torch.cuda.stream(copies):
            mix = batch.pin_memory().to(self._device, non_blocking=True)
            with self._lock:
                graph = self._graph(batch)
                self._stream.wait_stream(copies)
                with torch.cuda.stream(self._stream):
                    stems = graph.replay(mix)
            copies.wait_stream(self._stream)
            found = torch.empty(stems.shape, pin_memory=True)
            found.copy_(stems, non_blocking=True)
            # Until then, no tensor of another stream may be freed.
            copies.synchronize()
        return found

    def clear(self) -> None:
        """Free the memory of all graphs."""
        with self._lock:
            torch.cuda.synchronize(self._device)
            self._graphs.clear()
            self._pool = self._new_pool()
            torch.cuda.empty_cache()

    def _new_pool(self) -> torch.cuda.MemPool:
        with torch.cuda.device(self._device):
            return torch.cuda.MemPool()

    def _graph(self, batch: Tensor) -> "_Graph":
        size = 1 << (len(batch) - 1).bit_length()
        if size not in self._graphs:
            shape = (size, *batch.shape[1:])
            mix = torch.zeros(shape, device=self._device)
            self._graphs[size] = _Graph(self._compute, mix, self._stream, self._pool)
        return self._graphs[size]


class _Graph:
    """A CUDA graph of a pass over batches like `mix`, captured on `stream`."""

    def __init__(
        self,
        compute: Callable[[Tensor], Tensor],
        mix: Tensor,
        stream: torch.cuda.Stream,
        pool: torch.cuda.MemPool,
    ) -> None:
        self._mix = mix
        stream.wait_stream(torch.cuda.current_stream(mix.device))
        # The first passes select algorithms, which can't be captured. They also take
        # the memory that the capture reuses: one that finds none can't be undone.
        with torch.cuda.stream(stream), torch.cuda.use_mem_pool(pool, mix.device):
            for _ in range(_GRAPH_WARM_UPS):
                compute(mix)
        self._graph = torch.cuda.CUDAGraph()
        # Other threads go on copying.
        mode = "thread_local"
        with torch.cuda.graph(
            *(self._graph, pool.id, stream),  # type: ignore[arg-type]
            capture_error_mode=mode,
        ):
            self._stems = compute(mix)

    def replay(self, mix: Tensor) -> Tensor:
        """Compute a batch of at most this graph's size, on the current stream."""
        count = len(mix)
        self._mix[:count].copy_(mix)
        self._graph.replay()
        return self._stems[:count].clone()


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
