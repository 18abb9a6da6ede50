"""The training loss: the errors of the stems and of their sum, in dB."""

import torch

# Errors 20 dB under their stem, or 30 dB under the mix, hardly count.
FLOOR_OF_STEM = 1e-2
FLOOR_OF_MIX = 1e-3
# For silent stems the floor is higher: with a low one, networks first learn to return
# silence for every stem.
SILENT = 1e-3
FLOOR_OF_SILENCE = 5e-2
# Bass is the hardest stem: other instruments have low notes too.
STEM_WEIGHTS = (0.75, 1.75, 1.0, 0.5)
SUM_WEIGHT = 0.15


def loss(estimates: torch.Tensor, stems: torch.Tensor) -> torch.Tensor:
    """Return the mean error in tens of dB of estimates (batch, stem, 2, samples).

    An error is relative to the stem's own energy, so quiet stems count as much as loud
    ones. For a silent stem it is the leak into it, relative to the mix.
    """
    mix = stems.sum(1)
    whole, parts = _energy(mix), _energy(stems)
    silent = parts < SILENT * whole[:, None]
    floor = torch.where(silent, FLOOR_OF_SILENCE, FLOOR_OF_MIX) * whole[:, None]
    errors = _ratio(_energy(estimates - stems), parts, floor)
    missing = _ratio(_energy(estimates.sum(1) - mix), whole, FLOOR_OF_MIX * whole)
    weights = torch.tensor(STEM_WEIGHTS)
    return (errors * weights).sum(
        1
    ).mean() / weights.sum() + SUM_WEIGHT * missing.mean()


def _energy(samples: torch.Tensor) -> torch.Tensor:
    return samples.square().sum((-1, -2)) + 1e-6


def _ratio(
    error: torch.Tensor, energy: torch.Tensor, floor: torch.Tensor
) -> torch.Tensor:
    return torch.log10((error + FLOOR_OF_STEM * energy + floor) / (energy + floor))
