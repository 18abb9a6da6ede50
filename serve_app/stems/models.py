"""What clients are told of the models that they can ask for."""

from collections.abc import Sequence
from dataclasses import replace

from serve_app.separation import licences
from serve_app.separation.models import REGISTRY, ModelSpec, auto_candidates
from serve_app.settings import AUTO
from serve_app.stems.http.services import ModelInfo


def model_infos(
    default: str, allowed: licences.Allowed = "any"
) -> tuple[ModelInfo, ...]:
    """Return what clients may ask for: the registry, and `auto` where it is served."""
    infos = [_info(spec, allowed) for spec in REGISTRY.values()]
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
    """Describe `auto`, which stands for the best of the candidates that can be had."""
    names = " or ".join(spec.name for spec in candidates)
    info = replace(
        _info(candidates[0], "any"),
        name=AUTO,
        description=f"The best model that can be had: {names}",
    )
    if len(candidates) == 1:
        return info
    depends = f"that of {names}; a job's answer says which"
    return replace(info, trained_on=depends, licence=depends, licences=None)
