"""The devices of this machine, and their best precision."""

import os

import torch

from serve_app.errors import InvalidInput, Unavailable
from serve_app.separation.backends.port import Precision

# Ampere and later; Turing (7.5) has fast float16 only.
_BF16_CAPABILITY = (8, 0)


def resolve(device: str) -> torch.device:
    """Return the device called `cpu`, `cuda`, `cuda:N`; `auto` prefers CUDA.

    Raises InvalidInput for any other name, Unavailable for a device that is missing.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        resolved = torch.device(device)
    except RuntimeError:
        resolved = None
    if resolved is None or resolved.type not in ("cpu", "cuda"):
        raise InvalidInput(
            f"The device must be `cpu`, `cuda`, `cuda:N` or `auto`, got {device!r}."
        )
    if resolved.type == "cuda" and (resolved.index or 0) >= torch.cuda.device_count():
        raise Unavailable(
            f"There is no device {device!r} here: torch sees "
            f"{torch.cuda.device_count()} CUDA devices. Use `cpu` or `auto`."
        )
    return resolved


def name(device: torch.device) -> str:
    """Return a device's name, with its product name if it is a CUDA device."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return str(device)


def memory_bytes() -> dict[tuple[str, str], int]:
    """Return the memory of the CUDA devices that this process uses.

    Keys are (device, what): `allocated` by tensors and `reserved` by the allocator of
    this process, and the `size` of the device.
    """
    if not torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        return {}
    found = {}
    for index in range(torch.cuda.device_count()):
        device = f"cuda:{index}"
        found[device, "allocated"] = torch.cuda.memory_allocated(index)
        found[device, "reserved"] = torch.cuda.memory_reserved(index)
        found[device, "size"] = torch.cuda.get_device_properties(index).total_memory
    return found


def best_precision(device: torch.device) -> Precision:
    """Return the fastest precision in torch with an error of -40 dB or less."""
    if device.type != "cuda":
        return "fp32"
    capable = torch.cuda.get_device_capability(device) >= _BF16_CAPABILITY
    return "bf16" if capable else "fp16"


def streams(asked: int, usual: int, threads: int) -> int:
    """Return the number of windows to compute at once, at most one per thread."""
    return min(asked or usual, threads)


def cores(threads: int) -> int:
    """Return the number of threads; 0 stands for one per core of this process."""
    # Not every system has this call.
    if threads == 0 and hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return threads or os.cpu_count() or 1
