"""The training loop: time-based schedule, averaged weights, checkpoints, scores."""

import copy
import json
import math
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn
from torch.utils.data import DataLoader
from torchaudio.models import HDemucs

from serve_app.separation import models, networks
from serve_app.separation.backends.port import BackendOptions
from serve_app.separation.backends.pytorch import TorchBackend
from serve_app.separation.engine import Engine
from tools.demo_training import heldout, objective, scoring
from tools.demo_training.initial_weights import pass_through
from tools.demo_training.mixing import Examples, Recipe
from tools.demo_training.songs import SOURCES

GRADIENT_NORM = 1.0
AVERAGE_DECAY = 0.999


@dataclass(frozen=True)
class Plan:
    """The training data, duration and rates, and the folder of the checkpoint."""

    recipe: Recipe
    folder: Path
    seconds: float
    batch: int = 2
    rate: float = 2e-3
    warm_up_steps: int = 100
    score_seconds: float = 900.0
    log_steps: int = 50
    final_rate: float = 0.02


@dataclass(frozen=True)
class Progress:
    """The progress of a run: steps taken, and seconds spent training."""

    steps: int = 0
    seconds: float = 0.0


class Trainer:
    """A network, its averaged copy, the optimiser, and the run's progress."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.progress = Progress()
        self.network = networks.demo(SOURCES)
        pass_through(self.network, SOURCES.index("other"))
        self.average = copy.deepcopy(self.network).eval()
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=plan.rate, betas=(0.9, 0.99)
        )

    @property
    def checkpoint(self) -> Path:
        """Return the checkpoint's path."""
        return self.plan.folder / "checkpoint.pt"

    def step(self, stems: torch.Tensor) -> float:
        """Train on a batch (batch, 4, 2, samples) and return its loss."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate(self.plan, self.progress)
        with torch.autocast("cpu", torch.bfloat16):
            estimates = self.network(stems.sum(1))
        value = objective.loss(estimates.float(), stems)
        self.optimiser.zero_grad(set_to_none=True)
        value.backward()
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), GRADIENT_NORM)
        if math.isfinite(float(norm)):
            self.optimiser.step()
            self._follow()
        return float(value.detach())

    @torch.no_grad()
    def _follow(self) -> None:
        steps = self.progress.steps
        decay = min(AVERAGE_DECAY, (1 + steps) / (10 + steps))
        pairs = zip(self.average.parameters(), self.network.parameters(), strict=True)
        for mean, current in pairs:
            mean.lerp_(current, 1 - decay)

    def save(self) -> None:
        """Save the whole run, replacing the previous checkpoint atomically."""
        unfinished = self.checkpoint.with_suffix(".part")
        state = {
            "progress": asdict(self.progress),
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }
        torch.save(state, unfinished)
        unfinished.rename(self.checkpoint)

    def start_from(self, weights: Path) -> None:
        """Start a new run from exported weights."""
        state = {name: value.float() for name, value in load_file(weights).items()}
        self.network.load_state_dict(state)
        self.average.load_state_dict(state)

    def resume(self) -> None:
        """Resume from the folder's checkpoint."""
        state = torch.load(self.checkpoint, weights_only=True)
        self.progress = Progress(**state["progress"])
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])


def rate(plan: Plan, progress: Progress) -> float:
    """Return the learning rate: a linear warm-up, then a cosine decay over time."""
    warm = min(1.0, (progress.steps + 1) / plan.warm_up_steps)
    done = min(1.0, progress.seconds / plan.seconds)
    cosine = 0.5 * (1 + math.cos(math.pi * done))
    return plan.rate * warm * (plan.final_rate + (1 - plan.final_rate) * cosine)


def train(trainer: Trainer, scores: Path) -> None:
    """Train for the plan's seconds, and score on the held-out clips meanwhile."""
    plan = trainer.plan
    clips = heldout.clips(scores)
    log = plan.folder / "log.jsonl"
    batches = _batches(plan, seed=trainer.progress.steps)
    losses: list[float] = []
    due = trainer.progress.seconds + plan.score_seconds
    while trainer.progress.seconds < plan.seconds:
        began = time.monotonic()
        losses.append(trainer.step(next(batches)))
        spent = trainer.progress.seconds + time.monotonic() - began
        trainer.progress = Progress(trainer.progress.steps + 1, spent)
        if trainer.progress.steps % plan.log_steps == 0:
            _append(log, trainer.progress, loss=sum(losses) / len(losses))
            losses.clear()
            trainer.save()
        if spent >= min(due, plan.seconds):
            trainer.save()
            _append(log, trainer.progress, **evaluate(trainer.average, clips))
            due = spent + plan.score_seconds


def evaluate(network: HDemucs, clips: list[heldout.Clip]) -> dict[str, float]:
    """Return the median scores of a network over held-out clips."""
    options = BackendOptions("cpu", "torch", "fp32", torch.get_num_threads())
    # A backend takes over its network's layers.
    backend = TorchBackend(copy.deepcopy(network), options)
    with Engine(models.find("demo"), backend) as engine:
        return scoring.medians(scoring.evaluate(engine, clips))


def _batches(plan: Plan, seed: int) -> Iterator[torch.Tensor]:
    loader = DataLoader(
        Examples(plan.recipe, seed),
        batch_size=plan.batch,
        num_workers=1,
        prefetch_factor=8,
        worker_init_fn=_lower_priority,
    )
    return iter(loader)


def _lower_priority(_worker: int) -> None:
    os.nice(10)  # Mixing must not slow down training.


def _append(log: Path, progress: Progress, **figures: Any) -> None:
    line = {"steps": progress.steps, "seconds": round(progress.seconds), **figures}
    with log.open("a") as file:
        file.write(json.dumps(line) + "\n")
