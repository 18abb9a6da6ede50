"""Compute networks with OpenVINO on CPUs; Fourier transforms stay in torch."""

import hashlib
import importlib.util
import sys
import tempfile
import warnings
from functools import cache
from pathlib import Path
from queue import SimpleQueue
from threading import Lock
from typing import Any

import torch
from filelock import FileLock
from torch import Tensor
from torchaudio.models import HDemucs

from serve_app.separation.backends import devices
from serve_app.separation.backends.port import BackendFacts, BackendOptions
from serve_app.separation.hybrid import CHANNELS, Core
from serve_app.separation.rewrites import rewritten

# Part of the names of converted networks. Change it when the code of `Core` changes.
_FORM = "2"
# Two windows at once, with half of the threads each, take a fifth less time than one
# after the other, because threads wait less for each other.
_STREAMS = 2
_HINTS = {"fp32": "f32", "bf16": "bf16"}


def is_installed() -> bool:
    """Whether the extra `openvino` is installed."""
    return importlib.util.find_spec("openvino") is not None


def _openvino() -> Any:
    """Import OpenVINO without its telemetry package, which reports uses to Google.

    The package forks this process for every report. OpenVINO works without it.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino


@cache
def has_bf16() -> bool:
    """Whether this machine's CPU multiplies bf16 faster than float32."""
    capabilities = _openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return "BF16" in capabilities


class OpenVinoBackend:
    """An `HDemucs` with encoders and decoders compiled for one window shape.

    Converting a network takes longer than loading it, so the result is cached in
    `cache_dir`, under a name derived from the weights.
    """

    def __init__(
        self, network: HDemucs, window_samples: int, options: BackendOptions
    ) -> None:
        self._threads = devices.cores(options.threads)
        self._streams = devices.streams(options.streams, _STREAMS, self._threads)
        torch.set_num_threads(self._threads // self._streams)
        asked = options.precision
        self._precision = (
            ("bf16" if has_bf16() else "fp32") if asked == "auto" else asked
        )
        self._hybrid = rewritten(network, rows="in place", winograd=False)
        with torch.inference_mode():
            example = self._hybrid.front(torch.zeros(1, CHANNELS, window_samples))[:2]
        model = _converted(self._hybrid.core, example, options.cache_dir)
        openvino = _openvino()
        compiled = openvino.Core().compile_model(
            model,
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": _HINTS[self._precision],
                "INFERENCE_NUM_THREADS": self._threads,
                "NUM_STREAMS": self._streams,
                # With pinning, the threads of several replicas would share one core.
                "ENABLE_CPU_PINNING": False,
            },
        )
        self._compiled = compiled
        # Each request has the activations of one window.
        self._requests: SimpleQueue[Any] = SimpleQueue()
        for _ in range(self._streams):
            self._requests.put(compiled.create_infer_request())
        # One window at a time: if several threads allocate and free hundreds of MB at
        # once, the heap fragments and the process grows with the song.
        self._transforming = Lock()
        # The compiled network has its own copy of the weights.
        del self._hybrid.core

    @property
    def facts(self) -> BackendFacts:
        """The options in use."""
        return BackendFacts(
            "openvino", self._precision, "cpu", self._threads, self._streams
        )

    @property
    def batch_windows(self) -> int:
        """1: a CPU is not faster with more."""
        return 1

    @torch.inference_mode()
    def forward(self, batch: Tensor) -> Tensor:
        """Map mixes (batch, 2, window) to stems, one by one; see `Backend`."""
        stems = [self._one(window[None]) for window in batch]
        return stems[0] if len(stems) == 1 else torch.cat(stems)

    def rest(self) -> None:
        """Free the activations of all streams; see `Backend`."""
        self._compiled.release_memory()

    def _one(self, mix: Tensor) -> Tensor:
        with self._transforming:
            freq, time, scales = self._hybrid.front(mix)
        request = self._requests.get()
        try:
            request.infer(
                [freq.numpy(), time.numpy()], share_inputs=True, share_outputs=True
            )
            freq, time = (
                torch.from_numpy(request.get_output_tensor(index).data)
                for index in range(2)
            )
            with self._transforming:
                return self._hybrid.back(freq, time, scales)
        finally:
            self._requests.put(request)


def _converted(core: Core, example: tuple[Tensor, Tensor], cache: Path | None) -> Any:
    """Return the core as an OpenVINO model, from the cache if present."""
    if cache is None:
        with tempfile.TemporaryDirectory() as folder:
            return _saved(core, example, Path(folder) / "core.xml")
    cache.mkdir(parents=True, exist_ok=True)
    place = cache / f"{_key(core, example)}.xml"
    with FileLock(place.with_suffix(".lock")):
        return _saved(core, example, place)


def _saved(core: Core, example: tuple[Tensor, Tensor], place: Path) -> Any:
    """Read the core's model from a file; convert and save it first if missing.

    A model that was read runs faster than one just converted: reading folds more
    constants.
    """
    openvino = _openvino()
    if not place.exists():
        # The .bin is moved first: reading the .xml requires it.
        with tempfile.TemporaryDirectory(dir=place.parent) as folder:
            made = Path(folder) / place.name
            openvino.save_model(_convert(core, example), made, compress_to_fp16=False)
            made.with_suffix(".bin").rename(place.with_suffix(".bin"))
            made.rename(place)
    return openvino.Core().read_model(place)


def _convert(core: Core, example: tuple[Tensor, Tensor]) -> Any:
    shapes = [list(part.shape) for part in example]
    with torch.no_grad(), warnings.catch_warnings():
        # Tracing is deprecated in torch and warns.
        warnings.simplefilter("ignore")
        return _openvino().convert_model(core, example_input=example, input=shapes)


def _key(core: Core, example: tuple[Tensor, Tensor]) -> str:
    """Return a name derived from the weights, the shapes and OpenVINO's version."""
    digest = hashlib.sha256(f"{_FORM} {_openvino().__version__}".encode())
    digest.update(repr([tuple(part.shape) for part in example]).encode())
    for name, value in core.state_dict().items():
        digest.update(name.encode())
        digest.update(value.contiguous().numpy().tobytes())
    return digest.hexdigest()[:32]
