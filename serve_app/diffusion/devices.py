"""The device of a model, its precision, and what spares its memory."""

import gc
import os

import torch

from serve_app.diffusion.options import Precision

DTYPES: dict[str, torch.dtype] = {
    "fp32": torch.float32,
    "fp16": torch.float16,
    "bf16": torch.bfloat16,
}
# Decoding 1024 x 1024 pixels in one go takes several GB.
_SMALL_BYTES = 8 * 1024**3


def resolve(asked: str) -> tuple[torch.device, tuple[str, ...]]:
    """Return the device called `asked`, or the best one there is, with notes.

    A device that is missing or has an unknown name is replaced, and a note says so.
    """
    best = _best()
    if asked in ("", "auto"):
        return best, ()
    try:
        device = torch.device(asked)
    except RuntimeError:
        device = None
    if device is not None and _is_here(device):
        return device, ()
    return best, (f"There is no device {asked!r} here: {best} is used instead.",)


def precision(asked: Precision, device: torch.device) -> tuple[str, tuple[str, ...]]:
    """Return `fp32`, `fp16` or `bf16`, with notes.

    `auto` is fp16 on CUDA, and bf16 on CPUs that compute in it natively.
    """
    if asked == "fp16" and device.type == "cpu":
        found = _best_precision(device)
        return found, (f"CPUs can't compute in fp16: {found} is used instead.",)
    return (_best_precision(device) if asked == "auto" else asked), ()


def is_small(device: torch.device) -> bool:
    """Return whether large images must be decoded in tiles on this device."""
    if device.type != "cuda":
        return False
    size: int = torch.cuda.get_device_properties(device).total_memory
    return size < _SMALL_BYTES


def cores(threads: int) -> int:
    """Return the number of threads; 0 stands for one per core of this process."""
    # Not every system has this call.
    if threads == 0 and hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return threads or os.cpu_count() or 1


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether a device, or a CPU, had too little memory for a computation."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    # CPUs and MPS raise plain errors.
    words = str(error).lower()
    return isinstance(error, RuntimeError) and (
        "out of memory" in words or "allocate memory" in words
    )


class Pace:
    """Keeps a program at most one step ahead of its device.

    A GPU computes what is queued for it. Without a limit a program would report steps
    that are not done, and could not stop those that it has queued.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._before: torch.cuda.Event | None = None

    def step(self) -> None:
        """Say that a step is queued; waits until the one before it is done."""
        if self._device.type != "cuda":
            return
        event = torch.cuda.Event()  # type: ignore[no-untyped-call]
        event.record(torch.cuda.current_stream(self._device))
        if self._before is not None:
            self._before.synchronize()
        self._before = event


def free_cache(device: torch.device) -> None:
    """Return memory that nothing uses to the device."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


def _best() -> torch.device:
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def _is_here(device: torch.device) -> bool:
    if device.type == "cuda":
        return (device.index or 0) < torch.cuda.device_count()
    if device.type == "mps":
        return torch.backends.mps.is_available()
    return device.type == "cpu"


def _best_precision(device: torch.device) -> str:
    if device.type == "cpu":
        return "bf16" if _multiplies_bf16() else "fp32"
    return "fp16" if device.type == "cuda" else "fp32"


def _multiplies_bf16() -> bool:
    """Return whether this CPU has instructions for bf16 (AVX-512 or AMX).

    Other CPUs emulate it, which is slower than fp32.
    """
    cpu = torch.cpu
    return cpu._is_avx512_bf16_supported() or cpu._is_amx_tile_supported()
