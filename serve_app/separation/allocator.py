"""The C allocator, set up for a process that runs a network on the CPU."""

import ctypes
import os
import platform
import resource
import sys

from serve_app.separation.threads import run_apart

# By default glibc gives each large tensor back to the system and faults it in anew page
# by page: half of a forward pass's time. It reads these when a process starts; set
# later, by mallopt, they do not hold for the threads that compute.
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
    """Run this program again from its start, tuned, unless it is or can't be.

    Elsewhere than on glibc nothing happens. What a tuned process has used at its peak
    stays with it.
    """
    if platform.libc_ver()[0] != "glibc" or VARIABLE in os.environ:
        return
    command = [sys.executable, *sys.orig_argv[1:]]
    os.execve(sys.executable, command, {**os.environ, VARIABLE: TUNABLES})  # noqa: S606


def page_faults() -> int:
    """Return how many pages a small forward pass has to ask the system for.

    Next to none where the allocator keeps what was freed; about 16 000 where it does
    not. The pass runs in a thread of its own, as an engine's do.
    """
    return run_apart(_faults_of_the_second)


def give_back() -> None:
    """Return to the system what this process has freed; nothing where not on glibc.

    A tuned process keeps that otherwise, which is what makes it fast while it works.
    """
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)


def _faults_of_the_second() -> int:
    _small_forward()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    _small_forward()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def _small_forward() -> None:
    """Make and drop two tensors of 32 MiB."""
    import torch

    with torch.inference_mode():
        torch.nn.functional.gelu(torch.ones(2**23))
