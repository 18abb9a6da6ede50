"""The key network for training; `serve_app.analysis.key` runs the same in numpy."""

import torch
from torch import Tensor, nn
from torch.nn import functional

PITCHES, CLASSES = 84, 12
# Pitches above C1 that are purely bass, middle or treble.
REGISTERS = (9, 28, 48)


def registers() -> Tensor:
    """Return each pitch's share of bass, middle and treble, (3, 84)."""
    pitch = torch.arange(PITCHES, dtype=torch.float32)
    low, mid, high = REGISTERS
    bass = ((mid - pitch) / (mid - low)).clamp(0, 1)
    treble = ((pitch - mid) / (high - mid)).clamp(0, 1)
    return torch.stack([bass, 1 - bass - treble, treble])


class CircularConvolution(nn.Module):
    """A layer that is equivariant to transposition: (n, in, 12) to (n, out, 12)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(inputs, outputs, CLASSES)

    def forward(self, chroma: Tensor) -> Tensor:
        return self.conv(functional.pad(chroma, (0, CLASSES - 1), mode="circular"))


class KeyNetwork(nn.Module):
    """A network from the pitches of each second to 24 keys."""

    def __init__(
        self, notes: int = 12, chords: int = 24, scales: int = 24, dropout: float = 0.2
    ) -> None:
        super().__init__()
        self.harmonics = nn.Conv1d(1, notes, 49, padding=24)
        self.notes = nn.Conv1d(notes, notes, 1)
        self.chords = CircularConvolution(3 * notes, chords)
        self.scales = CircularConvolution(chords, scales)
        self.keys = CircularConvolution(scales, 2)
        self.drop = nn.Dropout(dropout)
        self.register_buffer("registers", registers())

    def harmony(self, strengths: Tensor) -> Tensor:
        """Return the harmonic features of each second, (seconds, chords, 12)."""
        x = torch.relu(self.harmonics(strengths[:, None]))
        x = torch.relu(self.notes(x))
        x = torch.einsum("ncp,rp->nrcp", x, self.registers)
        x = x.reshape(len(x), -1, PITCHES // CLASSES, CLASSES).sum(2)
        return torch.relu(self.chords(x))

    def logits(self, harmony: Tensor) -> Tensor:
        """Return the logits of 24 keys, major first, from features (n, chords, 12)."""
        x = torch.relu(self.scales(self.drop(harmony)))
        return self.keys(self.drop(x)).flatten(1)

    def forward(self, strengths: Tensor, weights: Tensor) -> Tensor:
        """Return the logits (songs, 24) of strengths (songs, seconds, 84).

        `weights` (songs, seconds) sum to one for each song.
        """
        songs, seconds, _ = strengths.shape
        harmony = self.harmony(strengths.flatten(0, 1))
        harmony = harmony.reshape(songs, seconds, -1)
        mean = torch.einsum("stc,st->sc", harmony, weights)
        return self.logits(mean.reshape(songs, -1, CLASSES))
