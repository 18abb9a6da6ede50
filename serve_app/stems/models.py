"""The models that clients can choose, for the API."""

from collections.abc import Sequence
from dataclasses import replace

from serve_app.separation import licences
from serve_app.separation.models import (
    FOR_LOAD_TESTS,
    REGISTRY,
    ModelSpec,
    auto_candidates,
)
from serve_app.settings.stems import AUTO
from serve_app.stems.http.services import ModelInfo


def model_infos(
    default: str, allowed: licences.Allowed = "any"
) -> tuple[ModelInfo, ...]:
    """Return the models of the registry, and `auto` if it is the default.

    The model for load tests is among them if it is the default.
    """
    infos = [_info(spec, allowed) for spec in REGISTRY.values()]
    if default == FOR_LOAD_TESTS.name:
        infos.append(_info(FOR_LOAD_TESTS, allowed))
    if default == AUTO:
        infos.insert(0, _auto(auto_candidates(allowed)))
    return tuple(infos)


def _info(spec: ModelSpec, allowed: licences.Allowed) -> ModelInfo:
    return ModelInfo(
        name=spec.name,
        sources=spec.sources,
        sample_rate=spec.sample_rate,
        trained_on=spec.trained_on,
        licence=spec.licence,
        licences=spec.licences,
        description=spec.description,
        refusal=licences.refusal(spec.name, spec.licences, allowed),
    )


def _auto(candidates: Sequence[ModelSpec]) -> ModelInfo:
    """Describe `auto`, which means the best available candidate."""
    names = " or ".join(spec.name for spec in candidates)
    info = replace(
        _info(candidates[0], "any"),
        name=AUTO,
        description=f"The best available model: {names}",
    )
    if len(candidates) == 1:
        return info
    depends = f"that of {names}; the job says which"
    return replace(info, trained_on=depends, licence=depends, licences=None)
