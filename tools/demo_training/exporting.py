"""Export the trained weights as float16 safetensors."""

import datetime
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file

MAX_BYTES = 12_000_000
TRAINED_ON = (
    "synthetic music, rendered from generated MIDI and Freedoom's, and synthetic voices"
)


def export(
    weights: Mapping[str, torch.Tensor],
    target: Path,
    *,
    steps: int,
    today: datetime.date,
) -> int:
    """Write weights as float16, replacing the target atomically; return its size."""
    halves = {name: value.half().contiguous() for name, value in weights.items()}
    broken = [name for name, value in halves.items() if not value.isfinite().all()]
    if broken:
        raise ValueError(f"weights not finite in float16: {', '.join(broken)}")
    unfinished = target.with_suffix(".part")
    save_file(halves, unfinished, metadata=_metadata(steps, today))
    size = unfinished.stat().st_size
    if size > MAX_BYTES:
        unfinished.unlink()
        raise ValueError(f"weights must have at most {MAX_BYTES} bytes, got {size}")
    unfinished.chmod(0o644)
    unfinished.rename(target)
    return size


def _metadata(steps: int, today: datetime.date) -> dict[str, str]:
    return {
        "name": "demo",
        "trained_on": TRAINED_ON,
        "steps": str(steps),
        "date": today.isoformat(),
        "licence": "MIT",
        "tool": "tools/train_demo.py",
    }
