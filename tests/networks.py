"""A network whose stems are known: shares of the mix."""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch
from torchaudio.models import HDemucs

from serve_app.separation.backends.port import Backend, BackendOptions
from serve_app.separation.backends.pytorch import TorchBackend
from serve_app.separation.engine import Engine
from serve_app.separation.models import find
from serve_app.separation.windows import WindowSpec

ON_CPU = BackendOptions("cpu", "torch", "fp32", threads=1)
SHARES = (0.4, 0.3, 0.2, 0.1)


class Shares(torch.nn.Module):
    """Gives each source its share of the mix."""

    def __init__(self, shares: Sequence[float]) -> None:
        super().__init__()
        self._shares = torch.tensor(shares)[None, :, None, None]

    def forward(self, mix: torch.Tensor) -> torch.Tensor:
        """Map (batch, 2, window) to (batch, source, 2, window)."""
        return mix[:, None] * self._shares


def on_cpu(network: torch.nn.Module, threads: int = 1) -> Backend:
    """Return a backend of a network that can still be used itself."""
    if isinstance(network, HDemucs):
        network = copy.deepcopy(network)
    return TorchBackend(network, replace(ON_CPU, threads=threads))


@contextmanager
def sharing_engine(shares: Sequence[float] = SHARES) -> Iterator[Engine]:
    """Run an engine of the four sources on short windows."""
    spec = replace(find("demo"), window=WindowSpec(20_480, 4096))
    with Engine(spec, on_cpu(Shares(shares))) as engine:
        yield engine


class OneEngine:
    """Gives the same engine for every model."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def get(self, model: str) -> Engine:
        """Return the engine."""
        return self._engine
