"""Tune the C allocator for a process that runs a network on the CPU."""

import ctypes
import os
import platform
import resource
import sys

from serve_app.separation.threads import run_in_new_thread

# By default glibc returns each large tensor to the system and faults in the next one
# page by page, which takes half of a forward pass's time. It reads this variable when a
# process starts; mallopt, called later, has no effect on the threads that compute.
VARIABLE = "GLIBC_TUNABLES"
TUNABLES = ":".join(
    (
        "glibc.malloc.hugetlb=1",
        "glibc.malloc.mmap_threshold=8589934592",
        "glibc.malloc.trim_threshold=17179869184",
        "glibc.malloc.arena_max=1",
    )
)


def restart_tuned() -> None:
    """Restart this program with a tuned allocator, unless it already runs tuned.

    Does nothing on systems without glibc. A tuned process keeps its peak memory.
    """
    if platform.libc_ver()[0] != "glibc" or VARIABLE in os.environ:
        return
    command = [sys.executable, *sys.orig_argv[1:]]
    os.execve(sys.executable, command, {**os.environ, VARIABLE: TUNABLES})  # noqa: S606


def page_faults() -> int:
    """Return the number of page faults of a small forward pass.

    Almost none if the allocator keeps freed memory; about 16 000 if it does not. The
    pass runs in a separate thread, as an engine's passes do.
    """
    return run_in_new_thread(_faults_of_the_second)


def give_back() -> None:
    """Return freed memory to the system; does nothing without glibc.

    A tuned process otherwise keeps freed memory, which makes it fast while it works.
    """
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)


def _faults_of_the_second() -> int:
    _small_forward()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    _small_forward()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def _small_forward() -> None:
    """Create and drop two tensors of 32 MiB."""
    import torch

    with torch.inference_mode():
        torch.nn.functional.gelu(torch.ones(2**23))
