"""Faulty decoders, with the signature of `measure`."""

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
    """Abort, as the C library does if its heap is corrupt."""
    os.abort()


def spin(path: Path, limits: AudioLimits) -> AudioFacts:
    """Compute forever."""
    while True:
        pass


def wait(path: Path, limits: AudioLimits) -> AudioFacts:
    """Sleep forever."""
    while True:
        time.sleep(60)


def grow(path: Path, limits: AudioLimits) -> AudioFacts:
    """Allocate memory forever."""
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
