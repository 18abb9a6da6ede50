"""Beat tracking with the network Beat This; torch is imported when it is loaded.

Foscarin, Schlüter and Widmer (2024), "Beat This! Accurate beat tracking without DBN
postprocessing", ISMIR. The spectrogram and the network come from the package
`beat-this`; this module runs them block by block on a song of any length.
"""

import inspect
import pickle
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from serve_app.analysis.downmix import Samples
from serve_app.analysis.features import HOP_SAMPLES
from serve_app.analysis.network import Activations, NetworkEngine
from serve_app.errors import WeightsUnavailable

if TYPE_CHECKING:
    import torch

# The network was trained on excerpts of 30 s and is less accurate at their borders, so
# the border frames of each excerpt are discarded.
_PIECE_FRAMES, _BORDER_FRAMES = 1_500, 6
_KEPT_FRAMES = _PIECE_FRAMES - 2 * _BORDER_FRAMES
# A frame's window, 1024 samples, extends over this many frames on both sides.
_REACH_FRAMES = 2
_AROUND_FRAMES = _KEPT_FRAMES + _BORDER_FRAMES + _REACH_FRAMES
# Windows at the ends of the song mirror its samples, so the song must be longer than
# half a window.
_LEAST_SAMPLES = 513
# The prefix of the network's weights in a Lightning checkpoint.
_PREFIX = "model."


@dataclass(frozen=True)
class BeatThis:
    """The loaded network and its spectrogram. Only one thread at a time runs it."""

    front: "torch.nn.Module"
    model: "torch.nn.Module"
    _lock: Lock = field(default_factory=Lock)

    def levels(self, mono: Samples) -> "torch.Tensor":
        """Return the log-mel spectrogram (n / 441 + 1, 128) of at least 513 samples."""
        import torch

        with torch.inference_mode():
            levels: torch.Tensor = self.front(torch.from_numpy(mono))
        return levels

    def probabilities(self, levels: "torch.Tensor") -> NDArray[np.float32]:
        """Return the probabilities (n, 2) of beats and downbeats in frames (n, 128)."""
        import torch

        with self._lock, torch.inference_mode():
            logits = self.model(levels[None])
            both = torch.stack([logits["beat"][0], logits["downbeat"][0]], dim=1)
            probabilities: NDArray[np.float32] = torch.sigmoid(both).numpy()
        return probabilities


class BeatThisEngine:
    """Detects beats and downbeats with Beat This.

    Tempi and chroma come from the package's own network, which runs beside it. It keeps
    400 bytes more than that network for each second of the song, and a minute of
    samples.
    """

    def __init__(self, network: BeatThis) -> None:
        self._network = network
        self._beside = NetworkEngine()
        # The samples from the frame `_first` on.
        self._samples = np.zeros(0, np.float32)
        self._first = 0
        self._done = 0
        self._probabilities: list[NDArray[np.float32]] = []

    def add(self, mono: Samples) -> None:
        """Take a block (n) of mono samples at 22,050 Hz."""
        self._beside.add(mono)
        self._samples = np.concatenate([self._samples, mono], dtype=np.float32)
        while self._end_samples() >= (self._done + _AROUND_FRAMES) * HOP_SAMPLES:
            self._run(self._done, self._done + _KEPT_FRAMES)
            self._drop_samples()

    def activations(self) -> Activations:
        """Return the activations of all blocks; call it once, after the last block."""
        frames = self._end_samples() // HOP_SAMPLES + 1
        missing = max(_LEAST_SAMPLES - self._end_samples(), 0)
        self._samples = np.pad(self._samples, (0, missing))
        while self._done + _KEPT_FRAMES < frames:
            self._run(self._done, self._done + _KEPT_FRAMES)
        # The last excerpt is as long as the others if the song is long enough.
        self._run(max(frames - _KEPT_FRAMES, 0), frames)
        probabilities = np.concatenate(self._probabilities)
        return replace(
            self._beside.activations(),
            beats=probabilities[:, 0],
            downbeats=probabilities[:, 1],
        )

    def _end_samples(self) -> int:
        return self._first * HOP_SAMPLES + len(self._samples)

    def _run(self, start: int, end: int) -> None:
        """Keep the activations up to the frame `end`, from an excerpt from `start` on.

        Frames before and after the song are zeros.
        """
        import torch

        known = max(start - _BORDER_FRAMES, 0)
        first = max(known - _REACH_FRAMES, 0)
        span = np.array([first, end + _BORDER_FRAMES + _REACH_FRAMES]) - self._first
        levels = self._network.levels(self._samples[slice(*(span * HOP_SAMPLES))])
        levels = levels[known - first : end + _BORDER_FRAMES - first]
        before = known - (start - _BORDER_FRAMES)
        after = end - start + 2 * _BORDER_FRAMES - before - len(levels)
        levels = torch.nn.functional.pad(levels, (0, 0, before, after))
        probabilities = self._network.probabilities(levels)[
            _BORDER_FRAMES:-_BORDER_FRAMES
        ]
        self._probabilities.append(probabilities[self._done - start :])
        self._done = end

    def _drop_samples(self) -> None:
        """Drop the samples that no later excerpt needs, not even the last one."""
        first = max(self._done - _AROUND_FRAMES, 0)
        self._samples = self._samples[(first - self._first) * HOP_SAMPLES :]
        self._first = first


def load(path: Path) -> BeatThis:
    """Return the network of a Beat This checkpoint, limited to one thread.

    Raises WeightsUnavailable if the file is not such a checkpoint. Code in the file is
    never run.
    """
    import torch
    from beat_this.model.beat_tracker import BeatThis as Model
    from beat_this.preprocessing import LogMelSpect

    # The separation runs at the same time and needs the other cores.
    torch.set_num_threads(1)
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        known = inspect.signature(Model).parameters
        given = checkpoint["hyper_parameters"]
        model = Model(**{name: given[name] for name in known if name in given})
        state = checkpoint["state_dict"]
        model.load_state_dict(
            {name.removeprefix(_PREFIX): value for name, value in state.items()}
        )
    except (
        *(OSError, EOFError, RuntimeError, ValueError, KeyError, TypeError),
        *(AttributeError, AssertionError, pickle.UnpicklingError),
    ) as err:
        raise WeightsUnavailable(
            f"{path} is not a checkpoint of Beat This ({type(err).__name__}). "
            "Delete it and fetch it again."
        ) from err
    return BeatThis(LogMelSpect().eval(), model.requires_grad_(False).eval())
