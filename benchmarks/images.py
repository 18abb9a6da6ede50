"""Compare the image engine with a plain script of diffusers: time, memory, exactness.

    python benchmarks/images.py --directory DIR [--rounds 5] [--size 256] [--steps 4]
        [--precision auto] [--device cpu] [--together 4 ...] [--json FILE] [--check]

Both load the same directory. If it is missing it is made: a model with all shapes of
Stable Diffusion 1.5 and random weights, which cost as much as trained ones (2 GB). Each
contender runs in a process of its own, and they alternate round by round, so that other
load on the machine affects both equally. Times are medians; compare ratios of one run,
not times of several. `--together` numbers of requests arrive at once: the script makes
them one by one, the engine in a batch. Memory is the process's peak on a CPU, and that
of tensors on a GPU. With `--check` the exit code is 1 if the engine is slower for one
image by more than 5 %, slower for several, or needs over 5 % more memory.
"""

import argparse
import json
import multiprocessing
import resource
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # Run from anywhere, installed or not.

PROMPT = "a lighthouse on a cliff at sunset, oil on canvas"
CONTENDERS = ("plain", "engine")
_FIRST_SEED = 1_000


@dataclass(frozen=True)
class Figures:
    """A contender's seconds for one request, and for several that arrive at once."""

    name: str
    seconds: dict[int, float]
    peak_mebibytes: float


def make_directory(directory: Path) -> None:
    """Save a Stable Diffusion 1.5 with random weights, in fp16."""
    import torch
    from diffusers import (
        AutoencoderKL,
        PNDMScheduler,
        StableDiffusionPipeline,
        UNet2DConditionModel,
    )
    from transformers import CLIPTextConfig, CLIPTextModel

    from serve_app.diffusion import tiny

    torch.manual_seed(1)
    text = CLIPTextConfig(
        **{"vocab_size": 49_408, "hidden_size": 768, "intermediate_size": 3_072},
        **{"num_hidden_layers": 12, "num_attention_heads": 12, "projection_dim": 768},
    )
    pipeline = StableDiffusionPipeline(
        vae=AutoencoderKL(
            **{"latent_channels": 4, "layers_per_block": 2, "sample_size": 512},
            block_out_channels=(128, 256, 512, 512),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
        ),
        text_encoder=CLIPTextModel(text),
        tokenizer=tiny.tokenizer(),
        # All else is the default.
        unet=UNet2DConditionModel(
            sample_size=64, cross_attention_dim=768, attention_head_dim=8
        ),
        scheduler=PNDMScheduler(
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            skip_prk_steps=True,
            steps_offset=1,
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.to(torch.float16).save_pretrained(directory)


Images = list[Any]
# Gets seeds, each a request of its own.
Make = Callable[[list[int]], Images]


def plain(options: argparse.Namespace, precision: str, device: str) -> Make:
    """Return what a script of a few lines does: one call after the other."""
    import torch
    from diffusers import AutoPipelineForText2Image, LCMScheduler

    from serve_app.diffusion import devices

    torch.set_num_threads(devices.cores(0))
    pipeline = AutoPipelineForText2Image.from_pretrained(
        options.directory, dtype=devices.DTYPES[precision], use_safetensors=True
    ).to(device)
    pipeline.scheduler = LCMScheduler.from_config(pipeline.scheduler.config)
    pipeline.set_progress_bar_config(disable=True)

    def make(seeds: list[int]) -> Images:
        return [
            np.array(
                pipeline(
                    PROMPT,
                    width=options.size,
                    height=options.size,
                    num_inference_steps=options.steps,
                    guidance_scale=1.0,
                    generator=torch.Generator("cpu").manual_seed(seed),
                ).images[0]
            )
            for seed in seeds
        ]

    return make


def engine(options: argparse.Namespace, precision: str, device: str) -> Make:
    """Return what the service does: requests that arrive at once share a batch."""
    from serve_app.diffusion.batcher import Batcher
    from serve_app.diffusion.loading import load
    from serve_app.diffusion.options import ModelOptions
    from serve_app.diffusion.port import ImageRequest

    loaded = load(
        ModelOptions(
            **{"model_id": str(options.directory), "scheduler": "lcm"},
            **{"precision": precision, "device": device},
        )
    )
    most = max(options.together)
    batcher = Batcher(loaded, most_requests=max(64, most), most_images=most)

    def make(seeds: list[int]) -> Images:
        tickets = [
            batcher.submit(
                ImageRequest(
                    *(PROMPT, options.size, options.size, (seed,)),
                    **{"steps": options.steps, "guidance": 1.0},
                )
            )
            for seed in seeds
        ]
        return [ticket.future.result().images[0] for ticket in tickets]

    return make


def work(name: str, options: argparse.Namespace, pipe: Connection) -> None:
    """Load a contender, then answer lists of seeds with seconds, images and memory."""
    from serve_app.diffusion import devices

    device, _ = devices.resolve(options.device)
    precision, _ = devices.precision(options.precision, device)
    make = {"plain": plain, "engine": engine}[name](options, precision, str(device))
    # The first images are slower, and so are all on a GPU whose clock is low.
    for _ in range(10 if device.type == "cuda" else 1):
        make([_FIRST_SEED])
    pipe.send(f"{precision} on {device}")
    while seeds := pipe.recv():
        began = time.perf_counter()
        images = make(seeds)
        seconds = time.perf_counter() - began
        pipe.send((seconds, images, _peak_mebibytes(device)))


def _peak_mebibytes(device: Any) -> float:
    import torch

    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    # In KiB on Linux.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


class Worker:
    """A contender in a process of its own."""

    def __init__(self, name: str, options: argparse.Namespace) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=work, args=(name, options, theirs))
        self._process.start()
        theirs.close()
        self.says: str = self._pipe.recv()

    def make(self, seeds: list[int]) -> tuple[float, Images, float]:
        """Return the seconds and the images of requests, and the peak memory in MiB."""
        self._pipe.send(seeds)
        seconds, images, peak = self._pipe.recv()
        return seconds, images, peak

    def close(self) -> None:
        self._pipe.send([])
        self._process.join()


def compare(options: argparse.Namespace) -> tuple[list[Figures], int]:
    """Return the figures of both, and the largest difference in levels of 255."""
    workers = {name: Worker(name, options) for name in CONTENDERS}
    for name, worker in workers.items():
        print(f"{name}: {worker.says}", flush=True)
    counts = sorted({1, *options.together})
    seconds: dict[tuple[str, int], list[float]] = {}
    peaks, difference = dict.fromkeys(CONTENDERS, 0.0), 0
    for number in range(options.rounds):
        for count in counts:
            seeds = [_FIRST_SEED + number * 100 + index for index in range(count)]
            made = []
            for name, worker in workers.items():
                took, images, peaks[name] = worker.make(seeds)
                seconds.setdefault((name, count), []).append(took)
                made.append(np.stack(images).astype(int))
            difference = max(difference, int(np.abs(made[0] - made[1]).max()))
    for worker in workers.values():
        worker.close()
    figures = [
        Figures(
            name,
            {count: statistics.median(seconds[name, count]) for count in counts},
            peaks[name],
        )
        for name in CONTENDERS
    ]
    return figures, difference


def main() -> None:
    """Run the comparison and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--directory", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--together", type=int, nargs="+", default=[4])
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    if not options.directory.exists():
        make_directory(options.directory)
    figures, difference = compare(options)
    script, ours = figures
    print(f"{'at once':>8}{'script':>10}{'engine':>10}{'images/s':>10}{'ratio':>8}")
    ratios = {}
    for count, seconds in ours.seconds.items():
        ratios[count] = seconds / script.seconds[count]
        print(
            f"{count:8}{script.seconds[count]:9.3f}s{seconds:9.3f}s"
            f"{count / seconds:10.2f}{ratios[count]:8.3f}"
        )
    memory = ours.peak_mebibytes / script.peak_mebibytes
    print(
        f"peak MiB: script {script.peak_mebibytes:.0f}, engine "
        f"{ours.peak_mebibytes:.0f}, ratio {memory:.3f}; images differ by at most "
        f"{difference} of 255"
    )
    one, together = ratios.pop(1), max(ratios.values(), default=0.0)
    if options.json:
        options.json.write_text(json.dumps([asdict(each) for each in figures]))
    if options.check and (one > 1.05 or together > 1 or memory > 1.05):
        sys.exit(1)


if __name__ == "__main__":
    main()
