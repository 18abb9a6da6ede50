"""Training of the key network on transposed, equalised and perturbed excerpts."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from tools.key_training.network import PITCHES, KeyNetwork
from tools.key_training.profiles import votes
from tools.key_training.songs import NO_KEY, Heard, moved

KEYS = 24
_BATCH = 32
_LONGEST = 30
_LENGTHS = (6, 10, 15, 15, 22, _LONGEST)
RATE, DROPOUT = 4e-3, 0.3
_DECAY, _SMOOTHING = 0.05, 0.02
_MEAN_STEPS = 50  # The length of the moving average over the weights.


@dataclass(frozen=True)
class Source:
    """Songs, and their relative share of the excerpts."""

    songs: Sequence[Heard]
    share: float


@dataclass(frozen=True)
class Plan:
    """The data and the length of a training run.

    `votes_share` is the weight of the notes' votes in the targets. A share of
    `patchwork_share` of the excerpts is joined from `patches`, songs with known notes.
    """

    sources: Sequence[Source]
    patches: Sequence[Heard]
    steps: int
    votes_share: float
    patchwork_share: float
    seed: int = 0
    rate: float = RATE


def train(
    plan: Plan,
    report: Callable[[int, float, KeyNetwork], None],
    network: KeyNetwork | None = None,
) -> KeyNetwork:
    """Return the trained network: a new one, or `network` trained further.

    `report` is called eight times in all.
    """
    torch.manual_seed(plan.seed)
    draw = np.random.default_rng(plan.seed)
    network = (network or KeyNetwork(dropout=DROPOUT)).train()
    mean = copy.deepcopy(network).eval()
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, plan.rate, total_steps=plan.steps
    )
    losses = []
    for step in range(1, plan.steps + 1):
        strengths, weights, truth = _batch(plan, draw)
        logits = network(strengths, weights)
        loss = cross_entropy(logits, truth, label_smoothing=_SMOOTHING)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        share = 1 / _MEAN_STEPS if step > _MEAN_STEPS else 1.0
        with torch.no_grad():
            for kept, new in zip(mean.parameters(), network.parameters(), strict=True):
                kept.lerp_(new, share)
        if step % max(plan.steps // 8, 1) == 0:
            report(step, float(np.mean(losses)), mean)
            losses = []
    return mean


def _batch(plan: Plan, draw: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
    strengths = np.zeros((_BATCH, _LONGEST, PITCHES), np.float32)
    weights = np.zeros((_BATCH, _LONGEST), np.float32)
    truth = np.zeros((_BATCH, KEYS), np.float32)
    shares = np.array([source.share for source in plan.sources])
    for row in range(_BATCH):
        if draw.random() < plan.patchwork_share:
            patches, truth[row] = _patchwork(plan.patches, draw)
            strengths[row, : len(patches)] = patches
            weights[row, : len(patches)] = 1 / len(patches)
            continue
        source = plan.sources[draw.choice(len(shares), p=shares / shares.sum())]
        song = source.songs[draw.integers(len(source.songs))]
        seconds = min(len(song.keys), int(draw.choice(_LENGTHS)))
        start = draw.integers(len(song.keys) - seconds + 1)
        part = slice(start, start + seconds)
        semitones = int(draw.integers(-6, 7))
        strengths[row, :seconds] = _disturbed(song.strengths[part], semitones, draw)
        weights[row, :seconds] = 1 / seconds
        truth[row] = _truth(song, part, semitones, plan.votes_share)
    return torch.tensor(strengths), torch.tensor(weights), torch.tensor(truth)


def _patchwork(
    songs: Sequence[Heard], draw: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return seconds joined from songs in related keys, and the notes' votes for keys.

    Harmony does not continue across the joins, so the network must rely on the notes.
    """
    patches, notes = [], np.zeros(12)
    for _ in range(draw.integers(2, 5)):
        song = songs[draw.integers(len(songs))]
        seconds = min(len(song.keys), int(draw.integers(2, 8)))
        start = draw.integers(len(song.keys) - seconds + 1)
        part = slice(start, start + seconds)
        # Transposed to the signature of C, or up to two fifths from it.
        key = int(song.keys[start])
        signature = key % 12 + 3 * (key // 12) + 7 * int(draw.integers(-2, 3))
        semitones = (6 - signature) % 12 - 6
        patches.append(_disturbed(song.strengths[part], semitones, draw))
        notes += np.roll(song.notes[part].sum(axis=0), semitones)
    semitones = int(draw.integers(12)) - 6
    joined = np.concatenate(patches)[:_LONGEST]
    return _transposed(joined, semitones), votes(np.roll(notes, semitones))


def _transposed(strengths: NDArray[np.float32], semitones: int) -> NDArray[np.float32]:
    x = np.roll(strengths, semitones, axis=1)
    if semitones > 0:
        x[:, :semitones] = 0
    elif semitones < 0:
        x[:, semitones:] = 0
    return x


def _truth(
    song: Heard, part: slice, semitones: int, votes_share: float
) -> NDArray[np.float64]:
    keys = song.keys[part]
    if keys[0] == NO_KEY:
        return np.full(KEYS, 1 / KEYS)
    truth = np.zeros(KEYS)
    for key in keys:
        truth[moved(key, semitones)] += 1 / len(keys)
    notes = song.notes[part].sum(axis=0)
    if notes.std() > 0:
        voted = votes(np.roll(notes, semitones).astype(np.float64))
        truth = (1 - votes_share) * truth + votes_share * voted
    return truth


def _disturbed(
    strengths: NDArray[np.float32], semitones: int, draw: np.random.Generator
) -> NDArray[np.float32]:
    x = _transposed(strengths, semitones).astype(np.float64)
    knots = np.exp(draw.normal(0, 0.4, 6))
    x *= np.interp(np.arange(PITCHES), np.linspace(0, PITCHES - 1, 6), knots)
    x *= np.exp(draw.normal(0, 0.15, PITCHES))
    if draw.random() < 0.5:
        x *= np.exp(draw.normal(0, 0.3, x.shape))
    if draw.random() < 0.3:
        x *= draw.random(x.shape) > 0.15
    x /= max(x.mean(), 1e-6)
    if draw.random() < 0.3:
        x += draw.random() * draw.exponential(0.15, x.shape)
    return np.asarray(x / max(x.mean(), 1e-6), np.float32)
