"""The fields of images in /health."""

from collections.abc import Mapping
from typing import Any

from serve_app.images.http.known_facts import KnownFacts

NAMES = ("device", "model", "optimizations")


async def of(known: KnownFacts) -> Mapping[str, Any]:
    """Return the fields of /health, from what the engine said last."""
    report: dict[str, Any] = {"ready": known.trouble is None}
    if known.trouble is not None:
        report["reason"] = known.trouble
    if (facts := known.newest) is not None:
        report |= {
            "device": facts.device,
            "model": facts.model,
            "licence": facts.licence,
            "optimizations": {
                "scheduler": facts.scheduler,
                "steps": facts.steps,
                "guidance_scale": facts.guidance,
                "precision": facts.precision,
                "memory_optimizations": list(facts.memory_optimizations),
            },
            "notes": list(facts.notes),
        }
    return report
