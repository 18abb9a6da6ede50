"""What training minimises: the errors of the stems and of their sum, in dB."""

import torch

# Errors 30 dB under the mix are not worth chasing; it also bounds silent stems.
FLOOR = 1e-3
STEM_WEIGHTS = (1.0, 1.0, 1.0, 0.5)
SUM_WEIGHT = 0.2


def loss(estimates: torch.Tensor, stems: torch.Tensor) -> torch.Tensor:
    """Return the mean error in tens of dB of estimates (batch, stem, 2, samples).

    An error counts against the stem's own energy, so faint stems count as much as
    loud ones; a silent stem counts by what leaks into it, relative to the mix.
    """
    mix = stems.sum(1)
    floor = FLOOR * _energy(mix)
    errors = _ratio(_energy(estimates - stems), _energy(stems), floor[:, None])
    weights = torch.tensor(STEM_WEIGHTS)
    total = _ratio(_energy(estimates.sum(1) - mix), _energy(mix), floor)
    return (errors * weights).sum(1).mean() / weights.sum() + SUM_WEIGHT * total.mean()


def _energy(samples: torch.Tensor) -> torch.Tensor:
    return samples.square().sum((-1, -2)) + 1e-6


def _ratio(
    error: torch.Tensor, energy: torch.Tensor, floor: torch.Tensor
) -> torch.Tensor:
    return torch.log10((error + floor) / (energy + floor))
