"""Checks of the settings of stems; see `serve_app.settings.check`."""

from collections.abc import Mapping

from serve_app.separation import licences
from serve_app.separation.models import REGISTRY
from serve_app.settings import AUTO, Settings
from serve_app.settings.check import Rule


def _check_model(settings: Settings) -> None:
    if settings.model not in (AUTO, *REGISTRY):
        extra = ""
        if settings.model == "htdemucs":
            extra = " (htdemucs needs `pip install 'stemserve[demucs]'`)"
        raise ValueError(f"must be one of {AUTO}, {', '.join(REGISTRY)}{extra}")


def _check_licence(settings: Settings) -> None:
    model, allowed = settings.model, settings.allowed_licences
    known = licences.of(model)
    if known and (refusal := licences.refusal(model, known, allowed)):
        raise ValueError(
            f"STEMSERVE_MODEL={model} is not allowed. {refusal}".rstrip(".")
        )


RULES: Mapping[str, Rule] = {"model": _check_model, "allowed_licences": _check_licence}
