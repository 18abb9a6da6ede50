"""Checks of the settings of stems; see `serve_app.settings.check`."""

import re
from collections.abc import Mapping

from serve_app.separation import licences
from serve_app.separation.models import FOR_LOAD_TESTS, REGISTRY
from serve_app.settings import Settings
from serve_app.settings.check import Rule, check_directory, is_web, needs
from serve_app.settings.stems import AUTO, BUILT_IN

_DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?")


def _check_model(settings: Settings) -> None:
    if settings.model not in (AUTO, *REGISTRY, FOR_LOAD_TESTS.name):
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


def _check_beats(settings: Settings) -> None:
    if settings.beats != BUILT_IN:
        needs("beat_this", "beats")


def _check_device(settings: Settings) -> None:
    if not _DEVICE.fullmatch(settings.device):
        raise ValueError("must be auto, cpu, cuda or cuda:N, such as cuda:0")


def _check_runtime(settings: Settings) -> None:
    if settings.runtime != "openvino":
        return
    needs("openvino", "openvino")
    if settings.device not in ("auto", "cpu"):
        raise ValueError("supports CPUs only; set STEMSERVE_DEVICE=cpu")
    if settings.model == "htdemucs":
        raise ValueError("does not support htdemucs; set it to torch or auto")


def _check_precision(settings: Settings) -> None:
    if settings.precision != "fp16":
        return
    if settings.device == "cpu" or settings.runtime == "openvino":
        raise ValueError("supports CUDA devices only; use fp32, bf16 or auto on a CPU")


def _check_mirror(settings: Settings) -> None:
    mirror = settings.weights_mirror
    if mirror is None or is_web(mirror) or mirror.startswith("file://"):
        return
    # A missing directory is allowed: it may be mounted later.
    if "://" in mirror:
        raise ValueError("must be a URL with http:// or https://, or a directory")


RULES: Mapping[str, Rule] = {
    "model": _check_model,
    "allowed_licences": _check_licence,
    "weights_dir": lambda settings: check_directory(settings.weights_dir),
    "weights_mirror": _check_mirror,
    "beats": _check_beats,
    "device": _check_device,
    "runtime": _check_runtime,
    "precision": _check_precision,
}
