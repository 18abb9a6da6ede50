"""Cut a stream of samples into windows, and join windows into a stream."""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from serve_app.separation.windows import WindowSpec, plan

Samples = NDArray[np.float32]

CHANNELS = 2


def cut(blocks: Iterable[Samples], length: int, spec: WindowSpec) -> Iterator[Samples]:
    """Yield the windows (2, window) of a stream of blocks (2, any number).

    The stream is cut or padded with zeros to `length` samples; the last window is
    padded with zeros too. One window and one block are in memory at a time.
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
    windows: Iterable[Samples], length: int, spec: WindowSpec, first: int = 0
) -> Iterator[Samples]:
    """Yield the `length` samples of a stream joined from windows (..., window).

    Neighbours are cross-faded linearly over their whole overlap, with weights that sum
    to 1; one hop apart, they equal the normalised triangles of Demucs's `apply_model`.
    A sample is yielded as soon as no later window covers it, so that about one window
    is in memory. The yielded blocks are views of the windows, which are overwritten.
    Raises ValueError if windows are missing, too many or of another length.

    `windows` may begin with a later one, of the index `first`. From the second block
    after it on, the samples are then the same as without.
    """
    starts = plan(length, spec)[first:]
    spans = zip(starts, (*starts[1:], length), strict=True)
    held: Samples | None = None
    for (start, until), window in zip(spans, windows, strict=True):
        if window.shape[-1] != spec.window_samples:
            raise ValueError(
                f"a window must have {spec.window_samples} samples, got "
                f"{window.shape[-1]}"
            )
        if held is not None:
            _fade(held, window)
        # Copied, so that the rest of the window can be freed.
        held = window[..., until - start :].copy()
        yield window[..., : until - start]


def _filled(held: Samples, incoming: Iterator[Samples], wanted: int) -> Samples:
    """Append blocks to `held` until it has `wanted` samples or they end."""
    blocks, count = [held], held.shape[1]
    while count < wanted:
        block = next(incoming, None)
        if block is None:
            break
        blocks.append(block)
        count += block.shape[1]
    return np.concatenate(blocks, axis=1)


def _fade(earlier: Samples, window: Samples) -> None:
    """Cross-fade from `earlier` (..., fewer) to the start of `window`, in place."""
    count = earlier.shape[-1]
    weights = np.arange(1, count + 1, dtype=np.float32) / np.float32(count + 1)
    shared = window[..., :count]
    # Unlike a weighted sum, this form returns equal values unchanged to the last bit.
    shared -= earlier
    shared *= weights
    shared += earlier
