"""The fields of images in /health."""

from collections.abc import Mapping
from typing import Any

from serve_app.images.http.known_facts import KnownFacts

NAMES = ("device", "model", "optimizations")
# Before the engine has said anything: clients read these fields in any case.
_UNKNOWN: Mapping[str, Any] = {
    "device": "unknown",
    "model": "unknown",
    "optimizations": {
        "scheduler": "unknown",
        "steps": None,
        "guidance_scale": None,
        "memory_optimizations": [],
    },
}


async def of(known: KnownFacts) -> Mapping[str, Any]:
    """Return the fields of /health, from what the engine said last."""
    report: dict[str, Any] = {"ready": known.trouble is None, **_UNKNOWN}
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
