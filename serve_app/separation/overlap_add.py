"""A stream of samples cut into windows, and windows joined into a stream again."""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from serve_app.separation.windows import WindowSpec, plan

Samples = NDArray[np.float32]

CHANNELS = 2


def cut(blocks: Iterable[Samples], length: int, spec: WindowSpec) -> Iterator[Samples]:
    """Yield the windows (2, window) of a stream of blocks (2, any number).

    The stream is taken to be `length` samples long: what it has more is left out, what
    it lacks is zeros, as is the padding. One window and one block are held at a time.
    """
    incoming = iter(blocks)
    held = np.zeros((CHANNELS, 0), np.float32)
    held_from = 0
    for start in plan(length, spec):
        wanted = min(spec.window_samples, length - start)
        held = _filled(held[:, start - held_from :], incoming, wanted)
        held_from = start
        window = np.zeros((CHANNELS, spec.window_samples), np.float32)
        real = held[:, :wanted]
        window[:, : real.shape[1]] = real
        yield window


def join(
    windows: Iterable[Samples], length: int, spec: WindowSpec
) -> Iterator[Samples]:
    """Yield the `length` samples that windows (..., window), in order, make together.

    Neighbours are cross-faded linearly over all they share, with weights that sum to
    one; one hop apart, those are the normalised triangles of Demucs's `apply_model`. A
    sample is yielded as soon as no later window touches it, so that about one window
    is held. The windows' memory is used up: what is yielded lies in it. Raises
    ValueError when windows are missing, too many or of another length.
    """
    starts = plan(length, spec)
    spans = zip(starts, (*starts[1:], length), strict=True)
    held: Samples | None = None
    for (start, until), window in zip(spans, windows, strict=True):
        if window.shape[-1] != spec.window_samples:
            raise ValueError(f"a window must have {spec.window_samples} samples")
        if held is not None:
            _fade(held, window)
        # Copied, so that the rest of the window can be freed.
        held = window[..., until - start :].copy()
        yield window[..., : until - start]


def _filled(held: Samples, incoming: Iterator[Samples], wanted: int) -> Samples:
    """Return `held` with blocks appended until it has `wanted` samples, if it can."""
    parts, count = [held], held.shape[1]
    while count < wanted:
        block = next(incoming, None)
        if block is None:
            break
        parts.append(block)
        count += block.shape[1]
    return np.concatenate(parts, axis=1)


def _fade(earlier: Samples, window: Samples) -> None:
    """Fade `window`'s first samples over from `earlier` (..., fewer)."""
    count = earlier.shape[-1]
    weights = np.arange(1, count + 1, dtype=np.float32) / np.float32(count + 1)
    shared = window[..., :count]
    # This form, not a weighted sum, gives equal values back to the last bit.
    shared -= earlier
    shared *= weights
    shared += earlier
