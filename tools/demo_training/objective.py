"""What training minimises: the errors of the stems and of their sum, in dB."""

import torch

# An error 20 dB under its stem, or 30 dB under the mix, is not worth chasing.
FLOOR_OF_STEM = 1e-2
FLOOR_OF_MIX = 1e-3
# In a silent stem, a leak is counted from a higher floor: with a low one, networks
# learn to say nothing before they learn anything else.
SILENT = 1e-3
FLOOR_OF_SILENCE = 5e-2
# Bass is the hardest to tell from low notes of other instruments.
STEM_WEIGHTS = (0.75, 1.75, 1.0, 0.5)
SUM_WEIGHT = 0.15


def loss(estimates: torch.Tensor, stems: torch.Tensor) -> torch.Tensor:
    """Return the mean error in tens of dB of estimates (batch, stem, 2, samples).

    An error counts against the stem's own energy, so faint stems count as much as
    loud ones; a silent stem counts by what leaks into it, relative to the mix.
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
