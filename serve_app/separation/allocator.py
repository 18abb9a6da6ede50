"""The C allocator, set up for a process that runs a network on the CPU."""

import ctypes
import platform

# Names and numbers of glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -3, -4, -8
_TUNING = (
    (_M_ARENA_MAX, 1),
    (_M_MMAP_MAX, 0),
    (_M_MMAP_THRESHOLD, 2**31 - 1),
    (_M_TRIM_THRESHOLD, -1),
)


def tune() -> bool:
    """Make glibc keep freed memory for the next forward pass; say whether it does.

    By default glibc gives each large tensor back to the system and faults it in anew
    page by page, about half of a forward pass's time. Call it once, before threads
    start: threads that have an arena of their own keep it. Elsewhere than on glibc
    nothing is changed. What the process has used at its peak stays with it.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return all([mallopt(name, value) == 1 for name, value in _TUNING])
