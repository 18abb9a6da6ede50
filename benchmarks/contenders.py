"""The contenders of the benchmark: common loops over Hybrid Demucs, and the engine.

Run as a program, it is a worker: it loads one contender, then responds to each line on
standard input with a line of JSON. `benchmarks/engine.py` starts the workers.
"""

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # Run from anywhere, installed or not.

import numpy as np  # noqa: E402
import torch  # noqa: E402
from torch import Tensor  # noqa: E402

from serve_app.separation.backends import choice  # noqa: E402
from serve_app.separation.backends.port import BackendOptions  # noqa: E402
from serve_app.separation.engine import Engine, MixStatistics  # noqa: E402
from serve_app.separation.models import ModelSpec, find  # noqa: E402
from serve_app.separation.threads import run_in_new_thread  # noqa: E402

RATE = 44_100
SEED = 0
BLOCK_SAMPLES = 65_536
CACHE = Path.home() / ".cache" / "stemserve" / "weights" / "openvino"

Separate = Callable[[Tensor], None]


@dataclass(frozen=True)
class Contender:
    """A contender: its loader and its description."""

    load: Callable[[ModelSpec, int], Separate]
    says: str
    tuned_allocator: bool = False


def song(seconds: float) -> Tensor:
    """Return a mix (2, samples) of changing tones and noise, always the same."""
    rng = np.random.default_rng(SEED)
    samples = round(seconds * RATE)
    time_seconds = np.arange(samples) / RATE
    pitch = np.repeat(rng.uniform(60, 900, size=samples // RATE + 1), RATE)[:samples]
    tones = 0.2 * np.sin(2 * np.pi * pitch * time_seconds)
    mix = tones + 0.05 * rng.standard_normal((2, samples))
    return torch.from_numpy(mix.astype(np.float32))


def network(spec: ModelSpec) -> torch.nn.Module:
    """Return a model's network with random weights, the same for all contenders."""
    torch.manual_seed(SEED)
    return spec.make(spec.sources).eval().requires_grad_(False)


def _loop(segment_seconds: float, overlap_seconds: float) -> Any:
    """Return the loader of the loop in torchaudio's tutorial.

    Segments are separated one by one and cross-faded into an array of the whole song.
    """

    def load(spec: ModelSpec, threads: int) -> Separate:
        torch.set_num_threads(threads)
        model = network(spec)
        overlap = round(overlap_seconds * RATE)
        length = round(segment_seconds * RATE) + overlap

        def separate(mix: Tensor) -> None:
            stems = torch.zeros(len(spec.sources), *mix.shape)
            up = torch.linspace(0, 1, overlap)
            with torch.inference_mode():
                for start in range(0, mix.shape[1], length - overlap):
                    segment = model(mix[None, :, start : start + length])[0]
                    if start > 0:
                        segment[..., :overlap] *= up[: segment.shape[-1]]
                    if start + length < mix.shape[1]:
                        segment[..., -overlap:] *= up.flip(0)
                    stems[..., start : start + length] += segment

        return separate

    return load


def _demucs(spec: ModelSpec, threads: int) -> Separate:
    """Return demucs's `apply_model` with its own class and the same weights."""
    from demucs.apply import apply_model
    from demucs.hdemucs import HDemucs

    torch.set_num_threads(threads)
    if spec.name == "demo":
        raise SystemExit("contender b supports only the full-size models, not demo")
    theirs = HDemucs(list(spec.sources))
    state = network(spec).state_dict()
    for part in ("encoder", "decoder"):
        for name, short in ((f"freq_{part}", part), (f"time_{part}", f"t{part}")):
            state = {key.replace(name, short): value for key, value in state.items()}
    # torchaudio's network has a norm that is never used.
    theirs.load_state_dict({key: state[key] for key in theirs.state_dict()})
    theirs.eval()

    def separate(mix: Tensor) -> None:
        apply_model(theirs, mix[None], shifts=0)

    return separate


def _engine(runtime: str, precision: str) -> Any:
    def load(spec: ModelSpec, threads: int) -> Separate:
        options = BackendOptions("cpu", runtime, precision, threads, cache_dir=CACHE)  # type: ignore[arg-type]
        window = spec.window.window_samples
        backend = run_in_new_thread(lambda: choice.make(network(spec), window, options))
        engine = Engine(spec, backend)

        def separate(mix: Tensor) -> None:
            mono = mix.numpy().mean(0)
            stats = MixStatistics(mix.shape[1], float(mono.mean()), float(mono.std()))
            stems = engine.separate(
                blocks(mix), stats, on_progress=lambda *_: None, cancelled=Event()
            )
            if sum(block.shape[-1] for block in stems) != mix.shape[1]:
                raise RuntimeError("the stems and the song differ in length")

        return separate

    return load


def blocks(mix: Tensor) -> Iterator[np.ndarray]:
    """Yield a mix in blocks, as a decoder does."""
    for start in range(0, mix.shape[1], BLOCK_SAMPLES):
        yield mix[:, start : start + BLOCK_SAMPLES].numpy()


BACKENDS = {
    "fp32": ("torch", "fp32"),
    "bf16": ("torch", "bf16"),
    "ov-fp32": ("openvino", "fp32"),
    "ov-bf16": ("openvino", "bf16"),
}
CONTENDERS: dict[str, Contender] = {
    "a": Contender(_loop(10, 0.1), "torchaudio's tutorial, 10 s and 0.1 s"),
    "a'": Contender(_loop(10, 0.1), "the same, tuned allocator", True),
    "b": Contender(_demucs, "demucs apply_model, shifts 0"),
    "seeds": Contender(_loop(8, 0.5), "the older systems' loop, 8 s and 0.5 s"),
    **{
        name: Contender(_engine(*backend), f"engine, {' '.join(backend)}", True)
        for name, backend in BACKENDS.items()
    },
}


def ratios_db(spec: ModelSpec, name: str, threads: int) -> list[float]:
    """Return each stem's ratio in dB to torchaudio in float32, on one window."""
    runtime, precision = BACKENDS[name]
    window = song(spec.window.window_samples / RATE + 5)[
        None, :, -spec.window.window_samples :
    ]
    window = (window - window.mean()) / window.std()
    with torch.inference_mode():
        expected = network(spec)(window)[0]
    options = BackendOptions("cpu", runtime, precision, threads, cache_dir=CACHE)  # type: ignore[arg-type]
    backend = choice.make(network(spec), spec.window.window_samples, options)
    return stems_db(expected, backend.forward(window)[0])


def stems_db(expected: Tensor, found: Tensor) -> list[float]:
    """Return the signal-to-noise ratio of each stem of a window, in dB."""
    error = (found - expected).double().square().sum((-1, -2))
    energy = expected.double().square().sum((-1, -2))
    return [round(float(one), 1) for one in 10 * torch.log10(energy / error)]


def serve(name: str, spec: ModelSpec, seconds: float, threads: int) -> None:
    """Respond to `run` with seconds, to `peak` with MiB, to `db` with ratios."""
    separate = CONTENDERS[name].load(spec, threads)
    mix = song(seconds)
    separate(mix[:, : 12 * RATE])
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        if line.strip() == "run":
            began = time.perf_counter()
            separate(mix)
            answer: Any = time.perf_counter() - began
        elif line.strip() == "peak":
            answer = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        else:
            answer = ratios_db(spec, name, threads)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=CONTENDERS)
    parser.add_argument("--model", default="hdemucs_high_musdb_plus")
    parser.add_argument("--seconds", type=float, default=210.0)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    serve(given.name, find(given.model), given.seconds, given.threads)
