"""The network on a GPU: throughput by batch size and precision, and the LSTMs' share.

    python benchmarks/gpu.py [--device cuda] [--batches 1 4 12 32] [--songs 1 4 8]
        [--json FILE]

Needs only torch, torchaudio and numpy. The weights are random, with the size of the
published ones. As in a Separator, a pass maps windows in host memory to stems in host
memory. Songs are separated at once by one engine, whose batches they share: cut into
windows, normalised, joined and scaled back, but not read or written.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import torch
from torch import Tensor, nn

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # The package is not installed on such a host.

from benchmarks.contenders import BLOCK_SAMPLES, network, song, stems_db  # noqa: E402
from serve_app.separation import allocator  # noqa: E402
from serve_app.separation.backends import devices  # noqa: E402
from serve_app.separation.backends.port import BackendOptions, OutOfMemory  # noqa: E402
from serve_app.separation.backends.pytorch import TorchBackend  # noqa: E402
from serve_app.separation.engine import Engine, MixStatistics  # noqa: E402
from serve_app.separation.models import ModelSpec, find  # noqa: E402

# Multiplications and additions of `hdemucs_high`, counted on one window.
GFLOP_PER_SECOND_OF_AUDIO = 21.0
# Dense TFLOP/s by product and precision, from the data sheets; fp32 is TF32.
PEAK_TFLOPS = {
    "H200": {"fp32": 494, "bf16": 989, "fp16": 989},
    "H100": {"fp32": 494, "bf16": 989, "fp16": 989},
    "A100": {"fp32": 156, "bf16": 312, "fp16": 312},
    "L4": {"fp32": 60, "bf16": 121, "fp16": 121},
    "T4": {"fp32": 8, "fp16": 65},
}
PASSES = 7
SONG_SECONDS = 210


@dataclass(frozen=True)
class Row:
    """The results for one precision and batch size."""

    precision: str
    batch: int
    pass_seconds: float
    times_real_time: float
    share_of_peak: float | None
    peak_mebibytes: float | None
    least_db: float


def rows(spec: ModelSpec, options: argparse.Namespace) -> Iterator[Row]:
    """Measure every precision at every batch size that fits."""
    device = devices.resolve(options.device)
    mixes = torch.randn(max(options.batches), 2, spec.window.window_samples)
    exact = reference(spec, mixes[:1])
    for precision in options.precisions:
        backend = TorchBackend(
            network(spec), BackendOptions(options.device, "torch", precision)
        )
        for batch in options.batches:
            if device.type == "cuda":
                torch.cuda.reset_peak_memory_stats(device)
            try:
                seconds = timed(partial(backend.forward, mixes[:batch]))
            except OutOfMemory:
                print(f"{precision} {batch}: does not fit", file=sys.stderr)
                break
            audio_seconds = batch * spec.window.hop_samples / spec.sample_rate
            speed = audio_seconds / seconds
            found = backend.forward(mixes[:batch])[0]
            yield Row(
                precision,
                batch,
                seconds,
                speed,
                share_of_peak(device, precision, speed),
                _peak_mebibytes(device),
                min(stems_db(exact[0], found)),
            )


def reference(spec: ModelSpec, mixes: Tensor) -> Tensor:
    """Return the stems of torchaudio's network, on the CPU in float32.

    Not on the GPU: cuFFT gives other samples for spectra that are not of real ones.
    """
    with torch.inference_mode():
        return network(spec)(mixes)


def timed(run: Callable[[], Any], passes: int = PASSES) -> float:
    """Return the median seconds of a pass, until the stems are on the host."""
    run()
    seconds = []
    for _ in range(passes):
        began = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


def share_of_peak(device: torch.device, precision: str, speed: float) -> float | None:
    """Return the fraction of the device's peak arithmetic rate, or None if unknown."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    for product, peaks in PEAK_TFLOPS.items():
        if product in name and precision in peaks:
            return speed * GFLOP_PER_SECOND_OF_AUDIO / (peaks[precision] * 1e3)
    return None


def _peak_mebibytes(device: torch.device) -> float | None:
    if device.type != "cuda":
        return None
    return torch.cuda.max_memory_allocated(device) / 2**20


def lstm_share(spec: ModelSpec, options: argparse.Namespace, precision: str) -> float:
    """Return the fraction of an eager pass spent in LSTMs, which are sequential."""
    device = devices.resolve(options.device)
    backend = TorchBackend(
        network(spec), BackendOptions(options.device, "torch", precision)
    )
    mixes = torch.randn(options.batches[0], 2, spec.window.window_samples).to(device)

    def wait() -> float:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter()

    began: list[float] = []
    for module in backend.network.modules():
        if isinstance(module, nn.LSTM):
            module.register_forward_pre_hook(lambda *_: began.append(wait()))
            module.register_forward_hook(lambda *_: began.append(wait()))
    with torch.inference_mode():
        backend.network(mixes)
        began.clear()
        first = wait()
        backend.network(mixes)
        whole = wait() - first
    spent = sum(end - start for start, end in zip(began[::2], began[1::2], strict=True))
    return spent / whole


def songs_speed(
    spec: ModelSpec, options: argparse.Namespace, precision: str, count: int
) -> float:
    """Return how many times faster than real time songs at once are separated."""
    backend = TorchBackend(
        network(spec), BackendOptions(options.device, "torch", precision)
    )
    mix = song(SONG_SECONDS)
    blocks = mix.split(BLOCK_SAMPLES, dim=1)
    mono = mix.mean(0)
    stats = MixStatistics(mix.shape[1], float(mono.mean()), float(mono.std()))
    with Engine(spec, backend) as engine, ThreadPoolExecutor(count) as threads:

        def separate(_: int) -> None:
            stems = engine.separate(
                (block.numpy() for block in blocks),
                *(stats,),
                on_progress=lambda *_: None,
                cancelled=Event(),
            )
            for _ in stems:
                pass

        def all_songs() -> None:
            list(threads.map(separate, range(count)))

        return count * SONG_SECONDS / timed(all_songs, passes=3)


def table(found: Sequence[Row]) -> str:
    """Format the rows as Markdown."""
    head = ["precision", "batch", "s", "x real time", "of peak", "MiB", "dB to fp32"]
    lines = [head, ["---"] * len(head)]
    for row in found:
        share = "" if row.share_of_peak is None else f"{row.share_of_peak:.1%}"
        memory = "" if row.peak_mebibytes is None else f"{row.peak_mebibytes:.0f}"
        speed = [f"{row.pass_seconds:.3f}", f"{row.times_real_time:.0f}"]
        ends = [share, memory, f"{row.least_db:.0f}"]
        lines.append([row.precision, str(row.batch), *speed, *ends])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    top = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    top.add_argument("--device", default="auto")
    top.add_argument("--model", default="hdemucs_high_musdb_plus")
    top.add_argument("--batches", type=int, nargs="+", default=[1, 4, 8, 16, 32, 64])
    top.add_argument("--precisions", nargs="+", default=["fp32", "bf16", "fp16"])
    top.add_argument("--songs", type=int, nargs="+", default=[1, 4, 8])
    top.add_argument("--json", type=Path, help="write every figure to this file")
    return top


def main(arguments: Sequence[str]) -> None:
    """Measure and print."""
    options = parser().parse_args(arguments)
    device = devices.resolve(options.device)
    if device.type == "cpu":
        options.precisions = [one for one in options.precisions if one != "fp16"]
    spec = find(options.model)
    found = list(rows(spec, options))
    shares = {one: lstm_share(spec, options, one) for one in options.precisions}
    print(f"{devices.name(device)}, torch {torch.__version__}, {spec.name}\n")
    print(table(found))
    for precision, share in shares.items():
        print(f"LSTMs, eager, {precision}, batch {options.batches[0]}: {share:.0%}")
    speeds = {
        count: songs_speed(spec, options, "auto", count) for count in options.songs
    }
    for count, speed in speeds.items():
        print(f"{count} songs of {SONG_SECONDS} s at once: {speed:.0f} x real time")
    if options.json:
        report = {
            "device": devices.name(device),
            "torch": torch.__version__,
            "rows": [asdict(row) for row in found],
            "lstm_share": shares,
            "songs": speeds,
        }
        options.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    allocator.restart_tuned()  # As a Separator runs.
    main(sys.argv[1:])
