"""Training of the beat network on one or two CPU threads."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from serve_app.analysis.features import BANDS, FRAMES_PER_SECOND
from serve_app.analysis.network import TEMPI_BPM, normalised
from tools.beat_training.model import BeatModel

CROP_FRAMES = 24 * FRAMES_PER_SECOND
SONGS_AT_ONCE = 8
# Downbeats are rarer than beats, so their loss weighs more.
TEMPO_WEIGHT, DOWNBEAT_WEIGHT = 0.02, 2.0
# The half-width of a beat's target, in frames.
REACH = 2.0

Example = tuple[NDArray[np.float16], NDArray[np.float64], NDArray[np.float64]]


def load(folders: Sequence[Path]) -> list[list[Example]]:
    """Load the examples of each folder that is not empty."""
    found: list[list[Example]] = []
    for folder in folders:
        paths = [path for path in folder.glob("*.npz") if ".part." not in path.name]
        examples = []
        for path in sorted(paths):
            with np.load(path) as arrays:
                examples.append(
                    (arrays["levels"], arrays["beats"], arrays["downbeats"])
                )
        if examples:
            found.append(examples)
    return found


def targets(times: NDArray[np.float64], frames: int) -> NDArray[np.float32]:
    """Return 1 at each time (in frames), falling linearly to 0 on both sides."""
    around = np.arange(-int(REACH), int(REACH) + 2)
    places = np.floor(times).astype(int)[:, None] + around
    values = np.maximum(1 - np.abs(places - times[:, None]) / REACH, 0)
    target = np.zeros(frames + 2, np.float32)
    inside = (places >= 0) & (places < frames)
    np.maximum.at(target, places[inside], values[inside].astype(np.float32))
    return target[:frames]


def crop(
    rng: np.random.Generator, example: Example
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Return levels, targets (n, 2) and tempo (63; zeros if there is none)."""
    levels, beats, downbeats = example
    speed = float(np.exp(np.clip(rng.normal(0, 0.08), -0.2, 0.2)))
    if rng.random() < 0.25:
        speed = 1.0
    size = int(CROP_FRAMES * speed) + 2
    start = int(rng.integers(0, max(len(levels) - size, 0) + 1))
    part = levels[start : start + size].astype(np.float32)
    places = np.arange(min(CROP_FRAMES, int((len(part) - 1) / speed))) * speed
    whole = places.astype(int)
    share = (places - whole).astype(np.float32)[:, None]
    part = (
        part[whole] * (1 - share) + part[np.minimum(whole + 1, len(part) - 1)] * share
    )
    frames = len(part)
    part = _varied(rng, part)
    cut = np.full((CROP_FRAMES, BANDS), 0, np.float32)
    cut[:frames] = part
    on, first = (
        (times * FRAMES_PER_SECOND - start) / speed for times in (beats, downbeats)
    )
    target = np.stack([targets(on, frames), targets(first, frames)], axis=1)
    padded = np.zeros((CROP_FRAMES, 2), np.float32)
    padded[:frames] = target
    inside = on[(on >= 0) & (on < frames)]
    tempo = np.zeros(len(TEMPI_BPM), np.float32)
    if len(inside) > 4:
        bpm = 60 * FRAMES_PER_SECOND / np.median(np.diff(inside))
        distance = 24 * np.log2(TEMPI_BPM / bpm)
        if np.abs(distance).min() < 1:
            tempo[:] = np.exp(-0.5 * distance**2)
            tempo /= tempo.sum()
    return cut, padded, tempo


def _varied(
    rng: np.random.Generator, levels: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Shift, equalise, soften, mask and normalise levels, with some noise."""
    bands = np.arange(BANDS)
    if rng.random() < 0.6:
        shift = float(rng.uniform(-4, 4))
        places = np.clip(bands - shift, 0, BANDS - 1)
        low = places.astype(int)
        share = (places - low).astype(np.float32)
        high = np.minimum(low + 1, BANDS - 1)
        levels = levels[:, low] * (1 - share) + levels[:, high] * share
    curve = np.interp(bands, np.linspace(0, BANDS - 1, 6), rng.normal(0, 0.5, 6))
    levels = levels + curve.astype(np.float32)
    if rng.random() < 0.3:
        floor = levels.max() - np.float32(rng.uniform(2.5, 7))
        colour = np.interp(bands, np.linspace(0, BANDS - 1, 4), rng.normal(0, 0.4, 4))
        power = 10 ** (floor + colour) * rng.exponential(1, levels.shape)
        levels = np.log10(10**levels + power)
    if rng.random() < 0.25:
        edge = int(rng.integers(15, 60))
        side = slice(0, edge) if rng.random() < 0.3 else slice(edge + 20, BANDS)
        levels = levels.copy()
        levels[:, side] -= np.float32(rng.uniform(1, 5))
    levels = normalised(levels.astype(np.float32))
    if rng.random() < 0.4:  # More or less dynamic playing or mastering.
        levels = levels ** np.float32(np.exp(rng.normal(0, 0.25)))
    if rng.random() < 0.2:  # Softer attacks.
        softer = levels.copy()
        softer[1:] = 0.6 * levels[1:] + 0.4 * levels[:-1]
        levels = softer
    if rng.random() < 0.15:
        at, width = int(rng.integers(len(levels))), int(rng.integers(25, 150))
        levels[at : at + width] *= np.float32(rng.uniform(0, 0.6))
    if rng.random() < 0.2:
        levels = np.clip(levels + np.float32(rng.normal(0, 0.08)), 0, 1)
    return levels.astype(np.float32)


def batch(
    rng: np.random.Generator, examples: Sequence[Sequence[Example]]
) -> list[Tensor]:
    crops = []
    for _ in range(SONGS_AT_ONCE):
        kind = examples[rng.integers(len(examples))]
        crops.append(crop(rng, kind[rng.integers(len(kind))]))
    return [torch.from_numpy(np.stack(part)) for part in zip(*crops, strict=True)]


def loss_of(
    model: BeatModel, levels: Tensor, target: Tensor, tempo: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    beats, logits = (part.float() for part in model(levels))
    each = functional.binary_cross_entropy_with_logits(beats, target, reduction="none")
    means = each.mean(dim=(0, 1))
    has_tempo = tempo.sum(dim=1)
    likely = (functional.log_softmax(logits, dim=1) * tempo).sum(dim=1)
    return means[0], means[1], -likely.sum() / has_tempo.sum().clamp(min=1)


def train(
    folders: Sequence[Path],
    target: Path,
    minutes: float,
    channels: int,
    start: Path | None,
    rate: float,
    seed: int,
) -> None:
    """Train for some minutes and write the averaged weights to `target`.

    All folders give equally many examples; a folder named twice gives twice as many.
    """
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    rng = np.random.default_rng(seed)
    examples = load(folders)
    model = BeatModel(channels=channels)
    if start is not None:
        model.load_state_dict(torch.load(start, weights_only=True))
    averaged = torch.optim.swa_utils.AveragedModel(
        model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.995)
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.01)
    began, sums = time.monotonic(), np.zeros(3)
    step, done, last = 0, 0.0, 0
    while done < 1:
        step += 1
        done = min((time.monotonic() - began) / 60 / minutes, 1.0)
        for group in optimizer.param_groups:
            # A warm-up of 200 steps, then cosine decay.
            warm = min(step / 200, 1.0)
            group["lr"] = rate * warm * (0.5 + 0.5 * np.cos(np.pi * done) + 1e-3)
        # bfloat16 takes half the time on CPUs that support it.
        with torch.autocast("cpu", dtype=torch.bfloat16):
            losses = loss_of(model, *batch(rng, examples))
        loss = losses[0] + DOWNBEAT_WEIGHT * losses[1] + TEMPO_WEIGHT * losses[2]
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
        averaged.update_parameters(model)
        sums += [part.item() for part in losses]
        if step % 100 == 0 or done == 1:
            print(step, f"{60 * done * minutes:.0f} s", end=" ")
            print(np.round(sums / (step - last), 4), [len(kind) for kind in examples])
            sys.stdout.flush()
            sums[:], last = 0, step
            best = averaged.module.eval()
            target.parent.mkdir(parents=True, exist_ok=True)
            weights = best.weights().items()
            np.savez(
                target, **{name: part.astype(np.float16) for name, part in weights}
            )
            torch.save(best.state_dict(), target.with_suffix(".pt"))
            if step % 300 == 0:  # Load songs rendered in the meantime.
                examples = load(folders)
