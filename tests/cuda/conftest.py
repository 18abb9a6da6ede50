"""Tests of the engines on a GPU, which need no Ray and no server.

On a host that has little more than torch, run them without the fixtures of other tests:

    python -m pytest -o filterwarnings= --confcutdir tests/cuda tests/cuda
"""

import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def _device() -> None:
    if not torch.cuda.is_available():
        pytest.skip("there is no CUDA device")
