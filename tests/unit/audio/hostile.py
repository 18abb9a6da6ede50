"""Decoders that go wrong, each in its way, as `measure` would be called."""

import ctypes
import os
import time
from pathlib import Path

import numpy as np

from serve_app.audio.facts import AudioFacts
from serve_app.audio.limits import AudioLimits


def crash(path: Path, limits: AudioLimits) -> AudioFacts:
    """Read address 0, as FFmpeg might."""
    ctypes.string_at(0)
    raise AssertionError("this process should have crashed")


def abort(path: Path, limits: AudioLimits) -> AudioFacts:
    """End as the C library does when its heap is broken."""
    os.abort()


def spin(path: Path, limits: AudioLimits) -> AudioFacts:
    """Compute for ever."""
    while True:
        pass


def wait(path: Path, limits: AudioLimits) -> AudioFacts:
    """Do nothing for ever."""
    while True:
        time.sleep(60)


def grow(path: Path, limits: AudioLimits) -> AudioFacts:
    """Take more memory for ever."""
    taken = []
    while True:
        taken.append(np.ones(2**22))


def write(path: Path, limits: AudioLimits) -> AudioFacts:
    """Write a file."""
    path.with_name("written").write_bytes(b"1")
    raise AssertionError("a file was written")


def tell_secret(path: Path, limits: AudioLimits) -> AudioFacts:
    """Fail with the names of all environment variables."""
    raise RuntimeError(" ".join(os.environ))
