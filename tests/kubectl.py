"""kubectl, which renders manifests. CI names it, and so must have it."""

import os
import shutil

import pytest

needed = pytest.mark.skipif(
    "KUBECTL" not in os.environ and shutil.which("kubectl") is None,
    reason="kubectl is not installed",
)
