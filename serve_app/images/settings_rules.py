"""Checks of the settings of images."""

import re
from collections.abc import Mapping
from pathlib import Path

from serve_app.diffusion.options import TINY
from serve_app.settings import Settings
from serve_app.settings.check import Rule, WrongHere, check_origins, needs

# Pickles run what is in them when they are loaded.
_PICKLES = (".ckpt", ".bin", ".pt", ".pth")
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


def _check_model(settings: Settings) -> None:
    _check_place(settings.images_model_id)
    for package in ("diffusers", "transformers"):
        needs(package, "images")


def _check_lora(settings: Settings) -> None:
    if settings.images_lora:
        _check_place(settings.images_lora)
        needs("peft", "images")


def _check_place(place: str) -> None:
    if place.endswith(_PICKLES):
        raise ValueError(
            "must be in a format with safetensors: an id of the hub, or a directory; "
            "other weights are programs, which are not run"
        )
    if not _HUB_ID.fullmatch(place) and not Path(place).is_absolute():
        raise ValueError(
            "must be an id of the hub such as org/name, the whole path of a directory, "
            f"or `{TINY}`"
        )


def _check_weights_dir(settings: Settings) -> None:
    found = settings.images_weights_dir
    if found is not None and not found.is_dir():
        raise WrongHere(f"{found} is not a directory")


def _check_count(settings: Settings) -> None:
    if settings.images_count > settings.images_max_count:
        raise ValueError(
            f"must be at most {settings.images_max_count}, the number of images of a "
            "request in STEMSERVE_IMAGES_MAX_COUNT"
        )


RULES: Mapping[str, Rule] = {
    "images_model": _check_model,
    "images_lora": _check_lora,
    "images_weights_dir": _check_weights_dir,
    "images_count": _check_count,
    "images_origins": lambda settings: check_origins(settings.images_origins),
}
